"""What a model looks at: by column, by family of indicators, and how far that holds over time."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.documents import Entry
from quant_pipelines.explain.attributions import Attributions, Vector

_FEWEST_RANKED = 3


class ColumnImpact(Entry, frozen=True):
    """Mean size of a column's contribution, its share of all, and whether high values raise the prediction.

    `direction` is the rank correlation of value and contribution; None where either never differs.
    """

    feature: str
    family: str
    importance: float
    share: float
    direction: float | None


class FamilyImpact(Entry, frozen=True):
    """A family's columns together.

    `importance` is the mean size of the sum of their contributions: columns that cancel each other count little.
    `share` is the sum of the columns' shares, so shares of all families add up to 1.
    """

    family: str
    columns: int
    importance: float
    share: float


class Fold(Entry, frozen=True):
    """A block of sessions by its first and last, its rows, and how it ranks columns compared with all rows."""

    first: str
    last: str
    rows: int
    agreement: float | None


class Stability(Entry, frozen=True):
    """How alike blocks of sessions rank the columns: rank correlations of importances, between pairs of blocks."""

    folds: tuple[Fold, ...]
    mean: float | None
    least: float | None


def importances(score: Attributions) -> Vector:
    """Mean size of each column's contribution."""
    return np.abs(score.values[:, 0]).mean(axis=0)


def column_impacts(score: Attributions, values: NDArray[np.float32], families: Sequence[str]) -> list[ColumnImpact]:
    """All columns, the greatest first; `values` are the rows' own in their last session (rows x columns)."""
    size = importances(score)
    shares = _shares(size)
    found = [
        ColumnImpact(
            feature=name,
            family=families[place],
            importance=float(size[place]),
            share=float(shares[place]),
            direction=_direction(values[:, place], score.values[:, 0, place]),
        )
        for place, name in enumerate(score.columns)
    ]
    return sorted(found, key=lambda each: -each.importance)


def family_impacts(score: Attributions, families: Sequence[str]) -> list[FamilyImpact]:
    """All families, the greatest share first."""
    shares, members = _shares(importances(score)), _members(families)
    found = [
        FamilyImpact(
            family=family,
            columns=len(places),
            importance=float(np.abs(score.values[:, 0, places].sum(axis=1)).mean()),
            share=float(shares[places].sum()),
        )
        for family, places in members.items()
    ]
    return sorted(found, key=lambda each: (-each.share, each.family))


def session_blocks(sessions: NDArray[np.int64], folds: int) -> list[NDArray[np.int64]]:
    """The rows of so many blocks of sessions, in their order; as many as there are sessions where these are fewer."""
    distinct = np.unique(sessions)
    blocks = np.array_split(distinct, min(folds, distinct.size))
    return [np.flatnonzero((sessions >= block[0]) & (sessions <= block[-1])) for block in blocks if block.size]


def stability(score: Attributions, sessions: NDArray[np.int64], names: Sequence[str], folds: int) -> Stability:
    """Importances block by block; `names` are the sessions of the axis as people write them."""
    blocks = session_blocks(sessions, folds)
    of_blocks, of_all = [importances(score.rows(rows)) for rows in blocks], importances(score)
    mean, least = agreement(of_blocks)
    return Stability(
        folds=tuple(
            Fold(
                first=names[int(sessions[rows].min())],
                last=names[int(sessions[rows].max())],
                rows=int(rows.size),
                agreement=rank_correlation(found, of_all),
            )
            for rows, found in zip(blocks, of_blocks, strict=True)
        ),
        mean=mean,
        least=least,
    )


def agreement(rankings: Sequence[Vector]) -> tuple[float | None, float | None]:
    """Mean and least rank correlation of all pairs of importances, be they of blocks, folds or models."""
    found = [rank_correlation(a, b) for a, b in combinations(rankings, 2)]
    known = [each for each in found if each is not None]
    return (float(np.mean(known)), min(known)) if known else (None, None)


def rank_correlation(first: Vector, second: Vector) -> float | None:
    """Spearman's, ties averaged; None where either is constant or there are too few values."""
    if first.size < _FEWEST_RANKED or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    # Imported here: it takes a second, and Dagster loads this file in every process.
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def _direction(values: NDArray[np.float32], contributions: Vector) -> float | None:
    known = ~np.isnan(values)
    return rank_correlation(values[known].astype(np.float64), contributions[known])


def _shares(size: Vector) -> Vector:
    total = size.sum()
    return size / total if total > 0 else np.zeros_like(size)


def _members(families: Sequence[str]) -> Mapping[str, list[int]]:
    return {
        family: [place for place, each in enumerate(families) if each == family] for family in dict.fromkeys(families)
    }
