"""One row of numbers per factor, and which factors say the same."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.features.effectiveness import measures
from quant_pipelines.features.effectiveness.measures import Correlations, Matrix, QuantileReturns


class ReportRefused(OperatorActionRequired):
    """The report cannot be made from what was given."""

    code: ClassVar[str] = "QP256"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """`horizon_sessions` is the return the headline is about; `fewest_names` is the least for a correlation."""

    horizon_sessions: int = 1
    quantiles: int = 5
    fewest_names: int = 10
    redundant_from: float = 0.9

    def __post_init__(self) -> None:
        if self.quantiles < 2 or self.fewest_names < 2 or self.horizon_sessions < 1:  # noqa: PLR2004
            raise ReportRefused(f"{self} has no meaning: at least two quantiles, two names and one session.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorRow:
    """What the report says of one factor. `decay` is the mean RankIC by horizon in sessions."""

    name: str
    ic: Correlations
    rank_ic: Correlations
    decay: Mapping[int, float]
    quantiles: QuantileReturns
    turnover: float
    rank_autocorrelation: float
    coverage: float


def factor_row(
    name: str, values: Matrix, returns: Mapping[int, Matrix], listed: NDArray[np.bool_], settings: ReportSettings
) -> FactorRow:
    """The measures of one factor; `returns` are forward returns by horizon, turnover is that of both end quantiles."""
    if settings.horizon_sessions not in returns:
        raise ReportRefused(
            f"Forward returns over {settings.horizon_sessions} sessions are missing; there are {sorted(returns)}."
        )
    forward = returns[settings.horizon_sessions]
    fewest, lags = settings.fewest_names, settings.horizon_sessions - 1
    labels = measures.quantile_labels(values, settings.quantiles)
    ends = np.stack([measures.turnover(labels, quantile) for quantile in (1, settings.quantiles)])
    return FactorRow(
        name=name,
        ic=measures.summed_up(measures.ic(values, forward, fewest_names=fewest), lags=lags),
        rank_ic=measures.summed_up(measures.rank_ic(values, forward, fewest_names=fewest), lags=lags),
        decay={
            horizon: measures.summed_up(
                measures.rank_ic(values, returns[horizon], fewest_names=fewest), lags=horizon - 1
            ).mean
            for horizon in sorted(returns)
        },
        quantiles=measures.quantile_returns(labels, forward, settings.quantiles),
        turnover=_mean(ends),
        rank_autocorrelation=_mean(measures.rank_autocorrelation(values)),
        coverage=_mean(measures.coverage(values, listed)),
    )


def similarity(factors: Iterable[Matrix]) -> Matrix:
    """Mean over sessions of the rank correlation of every two factors."""
    ranked = [measures.ranks(values) for values in factors]
    out = np.eye(len(ranked))
    for one in range(len(ranked)):
        for other in range(one):
            both = _mean(measures.ic(ranked[one], ranked[other], fewest_names=2))
            out[one, other] = out[other, one] = both
    return out


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


def _mean(series: NDArray[np.float64]) -> float:
    known = series[~np.isnan(series)]
    return float(known.mean()) if known.size else np.nan
