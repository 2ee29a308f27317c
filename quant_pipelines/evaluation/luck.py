"""How much of a Sharpe ratio is luck: of a short record, of fat tails, and of many trials.

Sharpe ratios here are those of a session, never annualised. After Bailey and Lopez de Prado, "The Sharpe ratio
efficient frontier" (2012), "The deflated Sharpe ratio" (2014), and with Borwein and Zhu, "The probability of backtest
overfitting" (2017).
"""

from dataclasses import dataclass
from itertools import combinations
from math import ceil, e, isfinite, sqrt
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.evaluation.failures import BadEvaluation, RowsDiffer

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Choice = Literal["sharpe", "mean"]
_NORMAL = NormalDist()
_FEWEST_RETURNS = 3
_NORMAL_KURTOSIS = 3.0
_MATRIX = 2
_HALF = 0.5
_ROUNDING = 1e-12
_LEAST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a series of returns says of itself. `kurtosis` is 3 for a normal one."""

    returns: int
    sharpe: float
    skewness: float = 0.0
    kurtosis: float = _NORMAL_KURTOSIS

    @classmethod
    def of(cls, returns: Vector) -> "Record | None":
        """None where there are too few returns, or all are equal."""
        if returns.size < _FEWEST_RETURNS or not np.isfinite(returns).all() or not np.ptp(returns) > 0:
            return None
        away = returns - returns.mean()
        spread = sqrt(float(np.mean(away**2)))
        return cls(
            returns=returns.size,
            sharpe=float(returns.mean() / returns.std(ddof=1)),
            skewness=float(np.mean(away**3)) / spread**3,
            kurtosis=float(np.mean(away**4)) / spread**4,
        )

    @property
    def variance(self) -> float:
        """Of the Sharpe ratio's estimate, times one return less than there are."""
        return 1.0 - self.skewness * self.sharpe + (self.kurtosis - 1.0) / 4.0 * self.sharpe**2


def probabilistic_sharpe(record: Record, *, benchmark: float = 0.0) -> float | None:
    """The probability that the true Sharpe ratio is above the benchmark's."""
    if record.variance <= 0:
        return None
    return _NORMAL.cdf((record.sharpe - benchmark) * sqrt(record.returns - 1) / sqrt(record.variance))


def best_of(trials: int, *, variance: float) -> float:
    """The Sharpe ratio that the best of so many worthless trials is expected to show."""
    if trials < 1 or not variance >= 0 or not isfinite(variance):
        raise BadEvaluation(f"{trials} trials with a variance of {variance} mean nothing. Count every trial ever run.")
    if trials == 1:
        return 0.0
    first, second = _NORMAL.inv_cdf(1.0 - 1.0 / trials), _NORMAL.inv_cdf(1.0 - 1.0 / (trials * e))
    return sqrt(variance) * ((1.0 - np.euler_gamma) * first + np.euler_gamma * second)


def deflated_sharpe(record: Record, *, trials: int, variance: float) -> float | None:
    """The probability that the true Sharpe ratio is above what the best of all trials shows by luck.

    `trials` counts all that were ever run, failed and manual ones too; `variance` is that of their Sharpe ratios.
    """
    return probabilistic_sharpe(record, benchmark=best_of(trials, variance=variance))


def least_record(record: Record, *, benchmark: float = 0.0, confidence: float = 0.95) -> int | None:
    """How many returns such a record needs to beat the benchmark at this confidence; None if it never does."""
    if not _HALF < confidence < 1:
        raise BadEvaluation(f"A confidence of {confidence} is none. It lies between 0.5 and 1.")
    if record.sharpe - benchmark <= _ROUNDING or record.variance <= 0:
        return None
    return ceil(1.0 + record.variance * (_NORMAL.inv_cdf(confidence) / (record.sharpe - benchmark)) ** 2)


def overfitting(returns: Matrix, *, blocks: int = 16, by: Choice = "sharpe") -> float | None:
    """The probability that the best trial of one half of the time is below the median in the other half.

    Combinatorially symmetric cross-validation of (sessions x trials): every half of the blocks chooses by Sharpe ratio
    or mean, the rest judges. Sessions that fill no block are left out, the oldest first. None where blocks are shorter
    than two sessions.
    """
    _require_trials(returns, blocks)
    length = len(returns) // blocks
    if length < _LEAST:
        return None
    cut = returns[len(returns) - length * blocks :].reshape(blocks, length, -1)
    sums, squares = cut.sum(axis=1), (cut * cut).sum(axis=1)
    halves = np.array(list(combinations(range(blocks), blocks // 2)))
    chosen = np.zeros((len(halves), blocks))
    np.put_along_axis(chosen, halves, 1.0, axis=1)
    count = length * blocks // 2
    learned, judged = (
        half @ sums if by == "mean" else _sharpe(half @ sums, half @ squares, count) for half in (chosen, 1.0 - chosen)
    )
    best = np.take_along_axis(judged, learned.argmax(axis=1)[:, None], axis=1)
    # Rank among all trials, ties in the middle; below the median the logit of rank / (trials + 1) is not above 0.
    rank = (judged < best).sum(axis=1) + ((judged == best).sum(axis=1) + 1.0) / 2.0
    return float(np.mean(rank / (returns.shape[1] + 1.0) <= _HALF))


def _require_trials(returns: Matrix, blocks: int) -> None:
    if blocks < _LEAST or blocks % 2:
        raise BadEvaluation(f"{blocks} blocks have no halves. Give an even number, 16 for instance.")
    if returns.ndim != _MATRIX or returns.shape[1] < _LEAST or not np.isfinite(returns).all():
        raise RowsDiffer(
            f"Returns of shape {returns.shape} are not those of trials that can be compared. Give sessions x trials, "
            "two or more trials and every return."
        )


def _sharpe(sums: Matrix, squares: Matrix, count: int) -> Matrix:
    """By trial; worst of all where returns are constant."""
    mean = sums / count
    spread = squares / count - mean**2
    still = spread <= _ROUNDING * squares / count
    return np.where(still, -np.inf, mean / np.sqrt(np.where(still, 1.0, spread)))
