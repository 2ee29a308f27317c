"""Expressions by the definitions in long double: what the kernels and every fused engine must agree with."""

from typing import Any

from quant_pipelines.kernels import definitions
from quant_pipelines.kernels.compiled import Doubles, Rows
from quant_pipelines.kernels.definitions import Statistic, rolling_slowly

_STATISTICS: dict[str, Statistic] = {
    "Mean": definitions.mean,
    "Sum": definitions.total,
    "Std": definitions.std,
    "Var": definitions.var,
    "Mad": definitions.mad,
    "Max": definitions.highest,
    "Min": definitions.lowest,
    "IdxMax": definitions.argmax,
    "IdxMin": definitions.argmin,
    "Med": definitions.quantile(0.5),
    "Rank": definitions.rank,
    "Count": definitions.count,
    "Slope": definitions.slope,
    "Rsquare": definitions.rsquare,
    "Resi": definitions.resi,
    "WMA": definitions.wma,
    "Corr": definitions.corr,
    "Cov": definitions.cov,
}


def by_definitions(
    name: str, window: int, numbers: tuple[float, ...], offsets: Rows, series: tuple[Doubles, ...]
) -> Any:
    """A rolling operator by its slow definition; use as `evaluate(..., roll=by_definitions)`."""
    statistic = definitions.quantile(*numbers) if name == "Quantile" else _STATISTICS[name]
    return rolling_slowly(statistic, window, offsets, *series)
