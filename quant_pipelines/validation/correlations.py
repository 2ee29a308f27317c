"""How well scores rank what came, block by block: the sessions of a panel, or stretches of one symbol's."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Blocks = NDArray[np.int64]
_ROUNDING = 1e-12
# A session with fewer names ranks nothing.
FEWEST_NAMES = 3
_FEWEST = 2


def block_correlations(
    scores: Vector, labels: Vector, blocks: Blocks, *, fewest: int = _FEWEST, constant: float = np.nan
) -> Vector:
    """The Pearson correlation of scores and labels in each block, in the blocks' order.

    `constant` is what constant scores are worth. Blocks with fewer rows or constant labels cannot be ranked: NaN.
    """
    _, block, count = np.unique(blocks, return_inverse=True, return_counts=True)
    score, score_size = _centred(np.asarray(scores, np.float64), block)
    label, label_size = _centred(np.asarray(labels, np.float64), block)
    known = (label_size > 0) & (score_size > 0)
    sizes = np.where(known, score_size * label_size, 1.0)
    found = np.where(known, np.bincount(block, score * label) / sizes, constant)
    return np.where((label_size > 0) & (count >= fewest), found, np.nan)


def mean_ic(scores: Vector, labels: Vector, blocks: Blocks, *, fewest: int = _FEWEST, constant: float = 0.0) -> float:
    """Mean over the blocks that can be ranked, NaN where there is none; constant scores know nothing, which is 0."""
    found = block_correlations(scores, labels, blocks, fewest=fewest, constant=constant)
    known = found[~np.isnan(found)]
    return float(known.mean()) if known.size else np.nan


def _centred(values: Vector, block: Blocks) -> tuple[Vector, Vector]:
    """Deviations from the block's mean, and their size; 0 where the block is constant but for the last digits."""
    deviation = values - (np.bincount(block, values) / np.bincount(block))[block]
    size = np.sqrt(np.bincount(block, deviation * deviation))
    return deviation, np.where(size > _ROUNDING * np.sqrt(np.bincount(block, values * values)), size, 0.0)
