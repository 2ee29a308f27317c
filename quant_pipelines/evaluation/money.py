"""Measures of a series of returns, one per session. No interest is counted; `periods` are those of a year."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.evaluation.bootstrap import Resampling, block_sessions, doubt, drawn, percentiles
from quant_pipelines.evaluation.direction import over
from quant_pipelines.evaluation.evidence import Estimate
from quant_pipelines.evaluation.failures import MadeUpReturns, RowsDiffer

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
# Returns of equal size but for rounding.
_ALIKE = 1e-9
# A call that earns one size and loses another.
_SIZES_OF_A_CALL = 2
_STILL = 1e-12


def annual_return(returns: Matrix, periods: int) -> Vector:
    """Compounded, as if the year went on like this."""
    grown = np.prod(1.0 + returns, axis=-1)
    return np.power(np.maximum(grown, 0.0), periods / returns.shape[-1]) - 1.0


def volatility(returns: Matrix, periods: int) -> Vector:
    return _deviation(returns) * np.sqrt(periods)


def sharpe(returns: Matrix, periods: int) -> Vector:
    """Mean over deviation, times the root of the periods."""
    return over(returns.mean(axis=-1), _deviation(returns)) * np.sqrt(periods)


def sortino(returns: Matrix, periods: int) -> Vector:
    """As Sharpe, but over the root of the mean squared loss, where a session without loss counts as 0."""
    losses = np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2, axis=-1))
    return over(returns.mean(axis=-1), losses) * np.sqrt(periods)


def max_drawdown(returns: Matrix, periods: int = 1) -> Vector:
    """The deepest fall below what was there before, at most 0. A loss on the first day is one."""
    del periods
    wealth = np.cumprod(1.0 + returns, axis=-1)
    peak = np.maximum(np.maximum.accumulate(wealth, axis=-1), 1.0)
    return (wealth / peak - 1.0).min(axis=-1)


def calmar(returns: Matrix, periods: int) -> Vector:
    """Annual return over the deepest fall."""
    return over(annual_return(returns, periods), -max_drawdown(returns))


def hit_rate(returns: Matrix, periods: int = 1) -> Vector:
    """Share of gains among the sessions that gained or lost."""
    del periods
    return over((returns > 0).sum(axis=-1), (returns != 0).sum(axis=-1))


# Each of (... x sessions) and the number of sessions in a year.
MONEY: Mapping[str, Callable[[Matrix, int], Vector]] = {
    "annual_return": annual_return,
    "volatility": volatility,
    "sharpe": sharpe,
    "sortino": sortino,
    "max_drawdown": max_drawdown,
    "calmar": calmar,
    "hit_rate": hit_rate,
}


def money_measures(returns: Vector, *, periods: int, resampling: Resampling) -> dict[str, Estimate]:
    """Every measure of these returns; Sharpe and the drawdown with intervals.

    A Sharpe ratio's is around the value. The drawdown's are the drawdowns of redrawn paths: it says how deep it could
    have been, and need not hold the value.
    """
    require_from_prices(returns)
    found = {name: _number(measure(returns, periods)) for name, measure in MONEY.items()}
    return {
        **{name: Estimate(value=value) for name, value in found.items()},
        "sharpe": _sharpe_estimate(found["sharpe"], returns, periods, resampling),
        "max_drawdown": _drawdown_estimate(found["max_drawdown"], returns, resampling),
    }


def require_from_prices(returns: Vector) -> None:
    """Refuse returns that no prices made: unknown ones, and a fixed size for every call that is right or wrong."""
    if not returns.size or not np.isfinite(returns).all():
        unknown = int((~np.isfinite(returns)).sum())
        raise RowsDiffer(f"{unknown} of {returns.size} returns are NaN or infinite. Give one for every session.")
    moved = np.sort(np.abs(returns[returns != 0]))
    if moved.size <= 1:
        return
    sizes = 1 + int((np.diff(moved) > _ALIKE * moved[1:]).sum())
    if sizes <= min(_SIZES_OF_A_CALL, moved.size - 1):
        raise MadeUpReturns(
            f"{moved.size} returns have {sizes} sizes, the largest {moved[-1]:g}. Prices do not move like that: take "
            "returns from opens and closes, not a fixed one per call."
        )


def _sharpe_estimate(value: float | None, returns: Vector, periods: int, resampling: Resampling) -> Estimate:
    if value is None:
        return Estimate(value=None)
    resampled = sharpe(returns[drawn(returns.size, resampling)], periods)
    found = doubt(resampled, returns.size, block_sessions(returns.size, resampling.span_sessions))
    if found is None:
        return Estimate(value=value)
    low, high = found.interval(value, resampling.confidence)
    return Estimate(value=value, low=low, high=high)


def _drawdown_estimate(value: float | None, returns: Vector, resampling: Resampling) -> Estimate:
    found = percentiles(returns, max_drawdown, resampling)
    return Estimate(value=value) if found is None else Estimate(value=value, low=found[0], high=found[1])


def _deviation(returns: Matrix) -> Vector:
    """The sample's; 0 where returns are constant but for rounding."""
    if returns.shape[-1] <= 1:
        return np.zeros(returns.shape[:-1])
    found = returns.std(axis=-1, ddof=1)
    return np.where(found > _STILL * np.abs(returns).max(axis=-1), found, 0.0)


def _number(value: Vector) -> float | None:
    return float(value) if np.isfinite(value) else None
