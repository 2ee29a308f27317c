"""How far one set of rows lies from another, column by column (S2-87)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.errors import DataRejected

Block = NDArray[np.float32]


class NothingToCompare(DataRejected):
    """Rows of which one side is empty, or which have other columns."""

    code = "QP289"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The distance of each column, and their mean."""

    score: float
    by_column: dict[str, float]

    def furthest(self, count: int) -> list[tuple[str, float]]:
        """The columns that have moved most, the furthest first."""
        return sorted(self.by_column.items(), key=lambda each: (-each[1], each[0]))[:count]


def drift(before: Block, lately: Block, columns: tuple[str, ...]) -> Drift:
    """Kolmogorov's and Smirnov's distance of each column, or how much more often values are missing, where that is
    larger. Both lie between 0 and 1 and need no bins."""
    if not (before.shape[1:] == lately.shape[1:] == (len(columns),) and len(before) and len(lately) and columns):
        raise NothingToCompare(
            f"Rows of the shapes {before.shape} and {lately.shape} cannot be compared in {len(columns)} columns. Both "
            "sides need rows, of the same columns."
        )
    distances = [distance(before[:, at], lately[:, at]) for at in range(len(columns))]
    return Drift(score=float(np.mean(distances)), by_column=dict(zip(columns, distances, strict=True)))


def distance(before: NDArray[np.float32], lately: NDArray[np.float32]) -> float:
    """Of one column."""
    known = [np.sort(each[~np.isnan(each)]) for each in (before, lately)]
    missing = abs(known[0].size / before.size - known[1].size / lately.size)
    if not all(each.size for each in known):
        return float(missing)
    places = np.concatenate(known)
    shares = [np.searchsorted(each, places, side="right") / each.size for each in known]
    return float(max(missing, np.abs(shares[0] - shares[1]).max()))
