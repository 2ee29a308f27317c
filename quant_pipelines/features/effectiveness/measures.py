"""Measures of one factor. All take matrices of (sessions x symbols), oldest session first, NaN where there is none.

IC is the correlation across symbols of the values of a session and the returns that followed; RankIC that of their
ranks. ICIR is their mean over their standard deviation (ddof 1), per session and not annualised.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.features.panel import BarPanel, Sessions
from quant_pipelines.kernels.compiled import Doubles
from quant_pipelines.kernels.cross_section import average_ranks, row_correlations

Matrix = NDArray[np.float64]
Labels = NDArray[np.int32]
Counts = NDArray[np.int64]
NO_QUANTILE = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlations:
    """Series of a correlation per session summed up, a number each; `dropped` had too few names or a constant side."""

    mean: Doubles
    std: Doubles
    ratio: Doubles
    t: Doubles
    sessions: Counts
    dropped: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileReturns:
    """Mean return of each quantile, lowest first: the mean over sessions of the quantile's mean, and its error."""

    means: Doubles
    errors: Doubles
    spread: Doubles
    spread_error: Doubles


def matrix_of(panel: BarPanel, row: NDArray[np.floating]) -> tuple[Matrix, Sessions]:
    """A row of the panel's length as (sessions x symbols), and the sessions."""
    sessions, places = np.unique(panel.sessions, return_inverse=True)
    out = np.full((sessions.size, len(panel.symbols)), np.nan)
    symbols = np.repeat(np.arange(len(panel.symbols)), np.diff(panel.offsets))
    out[places, symbols] = row
    return out, sessions


def ic(values: Matrix, returns: Matrix, *, fewest_names: int) -> Doubles:
    """Pearson correlation per session."""
    out = np.empty(values.shape[0])
    row_correlations(_matrix(values), _matrix(returns), fewest_names, out)
    return out


def rank_ic(values: Matrix, returns: Matrix, *, fewest_names: int) -> Doubles:
    """Spearman correlation per session, ranked among the names that have both."""
    both = ~(np.isnan(values) | np.isnan(returns))
    return ic(ranks(np.where(both, values, np.nan)), ranks(np.where(both, returns, np.nan)), fewest_names=fewest_names)


def ranks(values: Matrix) -> Matrix:
    """Ranks within each session, from 1, ties averaged."""
    wide = _matrix(values)
    out = np.empty_like(wide)
    average_ranks(wide, np.argsort(wide, axis=1).astype(np.int64), out)
    return out


def summed_up(correlations: Doubles, *, lags: int) -> Correlations:
    """Mean, deviation, ratio and Newey-West t of correlations per session, along the last axis."""
    known = ~np.isnan(correlations)
    sessions = known.sum(axis=-1)
    mean, (std, error) = nan_mean(correlations, axis=-1), (_nan_std(correlations), newey_west_error(correlations, lags))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, t = mean / std, mean / error
    return Correlations(
        mean=mean,
        std=std,
        ratio=np.where(std > 0, ratio, np.nan),
        t=np.where(error > 0, t, np.nan),
        sessions=sessions,
        dropped=correlations.shape[-1] - sessions,
    )


def newey_west_error(series: Doubles, lags: int) -> Doubles:
    """Standard error of the mean along the last axis, correlated over `lags` steps (Bartlett weights).

    Returns over h sessions overlap, so their ICs are correlated over h - 1 steps. A missing session stays in its
    place: its neighbours are two steps apart.
    """
    known = ~np.isnan(series)
    count = known.sum(axis=-1)
    deviation = np.where(known, series - nan_mean(series, axis=-1)[..., None], 0.0)
    total = (deviation * deviation).sum(axis=-1)
    for lag in range(1, min(lags, series.shape[-1] - 1) + 1):
        together = (deviation[..., lag:] * deviation[..., :-lag]).sum(axis=-1)
        total = total + 2 * (1 - lag / (lags + 1)) * together
    error = np.sqrt(np.maximum(total, 0.0)) / np.maximum(count, 1)
    return np.where(count > 1, error, np.nan)


def quantile_labels(values: Matrix, quantiles: int) -> Labels:
    """1 for the lowest quantile of each session up to `quantiles`; 0 where there is no value.

    Edges interpolate linearly and a value on an edge belongs below it, as with pandas' qcut; where values are so
    often equal that edges meet, the quantiles between them stay empty.
    """
    ordered = np.sort(values, axis=1)
    known = ~np.isnan(values)
    last = np.maximum(known.sum(axis=1, keepdims=True) - 1, 0)
    labels = np.where(known, 1, NO_QUANTILE).astype(np.int32)
    for cut in range(1, quantiles):
        place = cut / quantiles * last
        low = np.floor(place).astype(np.int64)
        below, above = (np.take_along_axis(ordered, np.minimum(each, last), axis=1) for each in (low, low + 1))
        labels += values > below + (above - below) * (place - low)
    return labels


def quantile_excess(labels: Labels, returns: Matrix, quantiles: int) -> Matrix:
    """(quantiles x sessions): each quantile's mean return, relative to that of the names with a value and a return."""
    used = (labels != NO_QUANTILE) & ~np.isnan(returns)
    excess = np.where(used, returns, np.nan)
    excess = excess - nan_mean(excess, axis=1)[:, None]
    return np.stack(
        [nan_mean(np.where(labels == quantile, excess, np.nan), axis=1) for quantile in range(1, quantiles + 1)]
    )


def quantile_summary(excess: Doubles) -> QuantileReturns:
    """Mean and error over sessions of (... x quantiles x sessions), and of the highest less the lowest."""
    spread = excess[..., -1, :] - excess[..., 0, :]
    return QuantileReturns(
        means=nan_mean(excess, axis=-1),
        errors=_error_of_mean(excess),
        spread=nan_mean(spread, axis=-1),
        spread_error=_error_of_mean(spread),
    )


def turnover(labels: Labels, quantile: int, *, sessions: int = 1) -> Doubles:
    """Share of a quantile's names that were not in it so many sessions before, per session."""
    inside = labels == quantile
    new = (inside[sessions:] & ~inside[:-sessions]).sum(axis=1)
    there = inside[sessions:].sum(axis=1)
    comparable = (there > 0) & (inside[:-sessions].sum(axis=1) > 0)
    out = np.full(labels.shape[0], np.nan)
    out[sessions:] = np.where(comparable, new / np.maximum(there, 1), np.nan)
    return out


def rank_autocorrelation(values: Matrix, *, sessions: int = 1) -> Doubles:
    """Correlation of the ranks of a session with those of the same names so many sessions before."""
    ranked = ranks(values)
    out = np.full(values.shape[0], np.nan)
    out[sessions:] = ic(ranked[sessions:], ranked[:-sessions], fewest_names=2)
    return out


def coverage(values: Matrix, listed: NDArray[np.bool_]) -> Doubles:
    """Share of the listed names that have a value, per session; NaN where nobody is listed."""
    names = listed.sum(axis=1)
    return np.where(names > 0, (~np.isnan(values) & listed).sum(axis=1) / np.maximum(names, 1), np.nan)


def by_month(series: Doubles, sessions: Sessions) -> dict[str, float]:
    """The mean of each calendar month that has a number."""
    months = sessions.astype("datetime64[M]")
    known = ~np.isnan(series)
    return {str(month): float(series[known & (months == month)].mean()) for month in np.unique(months[known])}


def by_group(values: Matrix, returns: Matrix, groups: NDArray[np.str_], *, fewest_names: int) -> dict[str, Doubles]:
    """RankIC per session within each group of symbols, such as an industry."""
    return {
        str(group): rank_ic(values[:, groups == group], returns[:, groups == group], fewest_names=fewest_names)
        for group in np.unique(groups)
    }


def _matrix(values: Matrix) -> Matrix:
    return np.ascontiguousarray(values, np.float64)


def nan_mean(values: Doubles, *, axis: int) -> Doubles:
    """The mean of what is there; NaN, without a warning, where nothing is."""
    number = (~np.isnan(values)).sum(axis=axis)
    return np.where(number > 0, np.nansum(values, axis=axis) / np.maximum(number, 1), np.nan)


def _nan_std(values: Doubles) -> Doubles:
    """Sample deviation along the last axis of what is there."""
    number = (~np.isnan(values)).sum(axis=-1)
    squares = np.nansum((values - nan_mean(values, axis=-1)[..., None]) ** 2, axis=-1)
    return np.where(number > 1, np.sqrt(squares / np.maximum(number - 1, 1)), np.nan)


def _error_of_mean(values: Doubles) -> Doubles:
    return _nan_std(values) / np.sqrt(np.maximum((~np.isnan(values)).sum(axis=-1), 1))
