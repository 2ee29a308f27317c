"""One row of numbers per factor, and which factors say the same."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.features.effectiveness import measures
from quant_pipelines.features.effectiveness.daily import Daily
from quant_pipelines.features.effectiveness.measures import Correlations, Matrix, QuantileReturns
from quant_pipelines.features.effectiveness.settings import ReportSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the report says of factors, one number or row for each. `decay` is the mean RankIC by horizon."""

    ic: Correlations
    rank_ic: Correlations
    decay: Mapping[int, NDArray[np.float64]]
    quantiles: QuantileReturns
    turnover: NDArray[np.float64]
    rank_autocorrelation: NDArray[np.float64]
    coverage: NDArray[np.float64]


def summary(daily: Daily, settings: ReportSettings) -> Summary:
    """Means over the sessions, with errors that know how far their returns overlap."""
    lags = settings.horizon_sessions - 1
    return Summary(
        ic=measures.summed_up(daily.ic, lags=lags),
        rank_ic=measures.summed_up(daily.rank_ic[settings.horizon_sessions], lags=lags),
        decay={horizon: measures.nan_mean(series, axis=-1) for horizon, series in daily.rank_ic.items()},
        quantiles=measures.quantile_summary(daily.excess),
        turnover=measures.nan_mean(daily.turnover, axis=-1),
        rank_autocorrelation=measures.nan_mean(daily.rank_autocorrelation, axis=-1),
        coverage=measures.nan_mean(daily.coverage, axis=-1),
    )


def similarities(factors: Iterable[Matrix]) -> NDArray[np.float64]:
    """(sessions x factors x factors): the correlation of every two factors' ranks over the names that have both.

    Four products of matrices instead of a loop over pairs: sums over the names that both have, of each and of both.
    """
    ranked = np.stack([measures.ranks(values) for values in factors], axis=1)
    return np.stack([_pairwise(session) for session in ranked])


def _pairwise(ranks: Matrix) -> Matrix:
    """Of (factors x names) with gaps."""
    has = (~np.isnan(ranks)).astype(np.float64)
    number = has @ has.T
    # Around the middle, so that sums of squares do not swallow what differs.
    known = np.where(has > 0, ranks - measures.nan_mean(ranks, axis=-1)[:, None], 0.0)
    sums, squares = known @ has.T, (known * known) @ has.T
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = known @ known.T - sums * sums.T / number
        spread = squares - sums * sums / number
        alike = covariance / np.sqrt(spread * spread.T)
    still = (spread <= _STILL * number) | (_STILL * number >= spread.T) | (number < _FEWEST_PAIRS)
    return np.where(still, np.nan, np.clip(alike, -1.0, 1.0))


_STILL = 1e-9  # ranks differ by a half at least
_FEWEST_PAIRS = 3


def redundancy_clusters(names: tuple[str, ...], alike: Matrix, *, redundant_from: float) -> tuple[tuple[str, ...], ...]:
    """Factors chained by a similarity of at least `redundant_from`, of either sign; groups of two or more."""
    near = np.nan_to_num(np.abs(alike)) >= redundant_from
    open_ones = set(range(len(names)))
    clusters: list[tuple[str, ...]] = []
    for start in range(len(names)):
        reached: set[int] = set()
        frontier = {start} & open_ones
        while frontier:
            reached |= frontier
            frontier = {other for one in frontier for other in np.flatnonzero(near[one]).tolist()} & open_ones - reached
        open_ones -= reached
        if len(reached) > 1:
            clusters.append(tuple(names[each] for each in sorted(reached)))
    return tuple(clusters)
