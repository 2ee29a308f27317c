"""How far rows lie from those of a training, beyond what some sessions of the training do themselves (S2-87)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.errors import DataRejected

Block = NDArray[np.float32]
Column = NDArray[np.float32]


class NothingToCompare(DataRejected):
    """Rows of which one side is empty, or which have other columns."""

    code = "QP289"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """0 where rows lie no further than is usual, 1 where they have nothing in common; `usual` is what that distance is.

    By column, how much further than usual they lie.
    """

    score: float
    usual: float
    by_column: dict[str, float]

    def furthest(self, count: int) -> list[tuple[str, float]]:
        """The columns that have moved most, the furthest first."""
        return sorted(self.by_column.items(), key=lambda each: (-each[1], each[0]))[:count]


def drift(learned: Block, usual: Sequence[Block], lately: Block, columns: tuple[str, ...]) -> Drift:
    """Compare with all that was learned from what was given lately, and parts of the training that are as long.

    A few sessions are never all sessions: few symbols, and values that last, make any of them differ. What differs no
    more than parts of the training did has not moved.
    """
    for each in (learned, lately, *usual):
        if not (each.shape[1:] == (len(columns),) and len(each) and columns):
            raise NothingToCompare(
                f"Rows of the shape {each.shape} cannot be compared in {len(columns)} columns. All sides need rows, of "
                "the same columns."
            )
    if not usual:
        raise NothingToCompare("There is no part of the training to compare with. Give one at least.")
    found, expected = np.empty(len(columns)), np.empty(len(columns))
    for at in range(len(columns)):
        known = _Known.of(learned[:, at])
        found[at] = known.distance(lately[:, at])
        expected[at] = np.mean([known.distance(each[:, at]) for each in usual])
    noise = float(expected.mean())
    score = max(0.0, float(found.mean()) - noise) / (1 - noise) if noise < 1 else 0.0
    return Drift(score=score, usual=noise, by_column=dict(zip(columns, (found - expected).tolist(), strict=True)))


@dataclass(frozen=True, eq=False, slots=True)
class _Known:
    """The values of a column that are there, in order, and the share of those that are."""

    values: Column
    share: float

    @classmethod
    def of(cls, column: Column) -> "_Known":
        there = column[~np.isnan(column)]
        return cls(np.sort(there), there.size / column.size)

    def distance(self, column: Column) -> float:
        """Kolmogorov's and Smirnov's, or how much more often values are missing where that is larger."""
        other = _Known.of(column)
        missing = abs(self.share - other.share)
        if not (self.values.size and other.values.size):
            return float(missing)
        # The shares part most at a value of either side, or just before one: the smaller side's are enough.
        small, large = sorted((self.values, other.values), key=len)
        upto = np.arange(1, small.size + 1) / small.size
        # Of equal values the last says how many there are up to them, the first how many before.
        last = np.append(small[1:] != small[:-1], True)
        first = np.append(True, small[1:] != small[:-1])
        at = np.searchsorted(large, small, side="right") / large.size
        before = np.searchsorted(large, small, side="left") / large.size
        apart = np.concatenate((np.abs(upto - at)[last], np.abs(upto - 1 / small.size - before)[first]))
        return float(max(missing, apart.max()))
