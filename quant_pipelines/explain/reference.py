"""What a prediction is compared with: the mean of training rows, which a chosen seed draws."""

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.explain.settings import ExplainSettings, ExplanationRefused
from quant_pipelines.models import Inputs

Reference = NDArray[np.float32]


def reference_of(train: Inputs, settings: ExplainSettings) -> Reference:
    """(length x columns): the mean of what is known, session by session of the window; NaN where nothing is.

    Single precision, as every model reads it.
    """
    if not len(train):
        raise ExplanationRefused("There is no training row to compare with. Explain on the snapshot it learned from.")
    known_sum, known = np.zeros((train.length, len(train.columns))), np.zeros((train.length, len(train.columns)))
    for row in drawn(len(train), settings.reference_rows, settings.seed).tolist():
        (window,) = train.sequences(slice(row, row + 1)).astype(np.float64)
        known_sum += np.nan_to_num(window)
        known += ~np.isnan(window)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (known_sum / known).astype(np.float32)


def drawn(rows: int, count: int, seed: int) -> NDArray[np.int64]:
    """So many of the rows, each once, in their order; all of them where there are no more."""
    if rows <= count:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, count, replace=False))
