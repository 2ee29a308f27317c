"""What costs no thought: forecasts and portfolios that a model has to beat, on the same rows and prices (S4-09)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.evaluation.failures import RowsDiffer
from quant_pipelines.evaluation.trading import Costs, Prices, Traded, long_only, traded

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Known:
    """What was known when the rows were forecast.

    `last_return` is that of the session whose close made the signal, NaN where there was none. The past is rows whose
    labels had resolved before the first of these: their columns, and the returns that came.
    """

    last_return: Vector
    columns: Matrix
    past_columns: Matrix
    past_value: Vector

    def __post_init__(self) -> None:
        rows, past = {len(self.last_return), len(self.columns)}, {len(self.past_columns), len(self.past_value)}
        if len(rows) > 1 or len(past) > 1 or 0 in past or self.columns.shape[1:] != self.past_columns.shape[1:]:
            raise RowsDiffer(
                f"{self.last_return.shape} last returns, columns of {self.columns.shape}, and a past of "
                f"{self.past_columns.shape} columns and {self.past_value.shape} returns do not fit together. Give the "
                "same columns for both, and a past row at least."
            )
        if not np.isfinite(self.past_value).all():
            raise RowsDiffer("Some returns of the past are not known. Leave those rows out.")


def buy_and_hold(known: Known) -> Vector:
    """Up, always: by what the past brought on average, or by next to nothing where that was a loss."""
    return np.full(len(known.columns), max(float(known.past_value.mean()), float(np.finfo(np.float32).tiny)))


def momentum(known: Known) -> Vector:
    """The last return once more; 0 where there is none."""
    return np.where(np.isfinite(known.last_return), known.last_return, 0.0)


def reversal(known: Known) -> Vector:
    """The last return back again."""
    return -momentum(known)


def linear(known: Known) -> Vector:
    """Least squares on the past; a missing value counts as the column's mean."""
    finite = np.where(np.isfinite(known.past_columns), known.past_columns, np.nan)
    there = ~np.isnan(finite)
    counts = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, finite, 0.0).sum(axis=0) / counts
    away = np.where(there, finite - mean, 0.0)
    scale = np.sqrt((away**2).sum(axis=0) / counts)
    unit = np.where(scale > 0, scale, 1.0)
    typical = float(known.past_value.mean())
    # Around the means the constant is that of the returns, whatever the columns.
    found = np.linalg.lstsq(away / unit, known.past_value - typical, rcond=None)[0]
    given = np.where(np.isfinite(known.columns), known.columns - mean, 0.0) / unit
    return typical + given @ found


# Forecasts of returns, row by row.
SCORES: Mapping[str, Callable[[Known], Vector]] = {
    "buy_and_hold": buy_and_hold,
    "momentum": momentum,
    "reversal": reversal,
    "linear": linear,
}


def last_returns(close: Matrix) -> Matrix:
    """Each close over the one of the session before; NaN where one is missing."""
    before = np.vstack([np.full((1, close.shape[1]), np.nan), close[:-1]])
    return close / before - 1.0


def universe_held(prices: Prices, costs: Costs, quantile: float) -> Traded:
    """Bought at the first open, all names alike that had a close before it, and never traded again."""
    del quantile
    there = ~np.isnan(prices.close[0])
    wishes = np.full(prices.close.shape, np.nan)
    wishes[0] = there / max(int(there.sum()), 1)
    return traded(wishes, prices, costs)


def winners_held(prices: Prices, costs: Costs, quantile: float) -> Traded:
    """Long in the highest last returns."""
    return long_only(last_returns(prices.close), prices, costs, quantile=quantile)


def losers_held(prices: Prices, costs: Costs, quantile: float) -> Traded:
    """Long in the lowest last returns."""
    return long_only(-last_returns(prices.close), prices, costs, quantile=quantile)


# Returns of portfolios, session by session.
PORTFOLIOS: Mapping[str, Callable[[Prices, Costs, float], Traded]] = {
    "buy_and_hold": universe_held,
    "momentum": winners_held,
    "reversal": losers_held,
}
