"""What features have to do with each other (S0-05, S0-07)."""

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.models import Inputs
from quant_pipelines.training.report import Pair

# Enough rows for a correlation that is known to a hundredth.
_ROWS = 10_000


def analyze_feature_correlations(inputs: Inputs, *, at_least: float = 0.9) -> list[Pair]:
    """Pairs of features that say nearly the same, the closest first; taken over evenly spaced rows."""
    step = max(1, len(inputs) // _ROWS)
    values = inputs.panel(slice(None, None, step)).astype(np.float64)
    found = _correlations(values)
    first, second = np.nonzero(np.triu(np.abs(found) >= at_least, k=1))
    pairs = [
        Pair(first=inputs.columns[a], second=inputs.columns[b], correlation=float(found[a, b]))
        for a, b in zip(first.tolist(), second.tolist(), strict=True)
    ]
    return sorted(pairs, key=lambda pair: (-abs(pair.correlation), pair.first, pair.second))


def _correlations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson correlations over rows in which both features are known; 0 where one is constant."""
    known = ~np.isnan(values)
    filled, ones = np.where(known, values - np.nanmean(np.where(known, values, 0), axis=0), 0.0), known.astype(float)
    count = np.maximum(ones.T @ ones, 1.0)
    sums = filled.T @ ones
    covariance = (filled.T @ filled) / count - sums * sums.T / count**2
    squares = (filled**2).T @ ones / count - (sums / count) ** 2
    spread = np.sqrt(np.maximum(squares * squares.T, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        out = np.where(spread > 0, covariance / spread, 0.0)
    return np.clip(out, -1.0, 1.0)
