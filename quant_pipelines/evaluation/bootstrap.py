"""How far a number could be off, from drawing other sessions: whole ones, in blocks, around the end to the beginning.

Rows of one session share its news, and neighbouring sessions share labels, so rows are never drawn one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt, sqrt

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.evaluation.failures import BadEvaluation

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Places = NDArray[np.int64]
# With fewer blocks their spread says nothing of how far the mean is off.
FEWEST_BLOCKS = 3
# A measure that so many resamples do not have is not one to give an interval for.
_LEAST_KNOWN = 0.9
_FEWEST_RESAMPLES = 100
# Twice the span: a block as long as the span would cut off half of what neighbours share.
_SPANS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """What is drawn. `span_sessions` is the label set's; `confidence` is that of the intervals.

    At 0.9 an interval of a gain lies above 0 exactly where luck is below 0.05.
    """

    seed: int
    span_sessions: int
    resamples: int = 2000
    confidence: float = 0.9

    def __post_init__(self) -> None:
        if self.span_sessions < 1 or self.resamples < _FEWEST_RESAMPLES or not 0 < self.confidence < 1:
            raise BadEvaluation(
                f"{self.resamples} resamples over labels of {self.span_sessions} sessions at a confidence of "
                f"{self.confidence} mean nothing. Draw {_FEWEST_RESAMPLES} or more, over 1 session or more, at a "
                "confidence between 0 and 1."
            )


def block_sessions(sessions: int, span_sessions: int) -> int:
    """How long blocks are: twice the label span, and the root of the number of sessions at least."""
    return max(_SPANS * span_sessions, isqrt(sessions))


def drawn(sessions: int, resampling: Resampling) -> Places:
    """(resamples x sessions): places of sessions, in blocks that begin anywhere."""
    block = min(block_sessions(sessions, resampling.span_sessions), sessions)
    chance = np.random.default_rng(resampling.seed)
    begins = chance.integers(0, sessions, (resampling.resamples, -(-sessions // block)))
    places = (begins[:, :, None] + np.arange(block)) % sessions
    return places.reshape(resampling.resamples, -1)[:, :sessions]


def times_drawn(sessions: int, resampling: Resampling) -> Matrix:
    """(resamples x sessions): how often each session was drawn. Times session sums, it gives every resample's sums."""
    cells = drawn(sessions, resampling) + sessions * np.arange(resampling.resamples)[:, None]
    counts = np.bincount(cells.ravel(), minlength=sessions * resampling.resamples)
    return counts.reshape(resampling.resamples, sessions).astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """The standard error of a number, and with how many degrees of freedom it is known."""

    error: float
    freedom: float
    resamples: int

    def interval(self, value: float, confidence: float) -> tuple[float, float]:
        from scipy.special import stdtrit

        reach = self.error * float(stdtrit(self.freedom, (1.0 + confidence) / 2.0))
        return value - reach, value + reach

    def luck(self, gain: float) -> float:
        """The chance of such a gain, or a larger one, where none is expected. So many draws cannot say it is 0."""
        from scipy.special import stdtr

        chance = float(stdtr(self.freedom, -gain / self.error)) if self.error > 0 else float(gain <= 0)
        return max(chance, 1.0 / (self.resamples + 1))


def doubt(resampled: Vector, sessions: int, block: int) -> Doubt | None:
    """From a number's values in all resamples; None where the sessions that count are too few.

    Drawn blocks spread around the mean that they have, not around the true one, and few of them hide much of it: so
    the spread is widened, and read by Student's distribution with the number of blocks.
    """
    known = resampled[np.isfinite(resampled)]
    if sessions < FEWEST_BLOCKS * block or known.size < _LEAST_KNOWN * resampled.size:
        return None
    hidden = 1.0 - block / sessions
    return Doubt(error=float(known.std(ddof=1)) / sqrt(hidden), freedom=sessions / block - 1.0, resamples=known.size)


def percentiles(
    values: Vector, measure: Callable[[Matrix], Vector], resampling: Resampling
) -> tuple[float, float] | None:
    """The middle part of what a measure of a path is on other paths, given as (resamples x sessions).

    None where the sessions are too few.
    """
    if values.size < FEWEST_BLOCKS * block_sessions(values.size, resampling.span_sessions):
        return None
    found = measure(values[drawn(values.size, resampling)])
    found = found[np.isfinite(found)]
    if found.size < _LEAST_KNOWN * resampling.resamples:
        return None
    tail = (1.0 - resampling.confidence) / 2.0
    low, high = np.quantile(found, [tail, 1.0 - tail])
    return float(low), float(high)
