"""A training snapshot as pyqlib's DatasetH, for its models."""

from typing import Any

import numpy as np

from quant_pipelines.calendars import session_key
from quant_pipelines.qlib_bridge.frames import DATETIME, INSTRUMENT, dataset
from quant_pipelines.snapshots.failures import NothingToLearn
from quant_pipelines.snapshots.loading import SnapshotArrays

_SEGMENTS = {"train": "train", "validation": "valid", "holdout": "test"}


def dataset_h(arrays: SnapshotArrays) -> Any:
    """Samples and labels as pyqlib wants them, its segments those of the split; values are copied."""
    import pandas as pd

    split = arrays.document.outcome.split
    if arrays.labels is None or split is None or split.train is None:
        reason = "it is an inference" if split is None else split.reason
        raise NothingToLearn(f"Snapshot {arrays.document.id[:16]} has no segments: {reason}. Use a longer window.")
    owners = arrays.symbols[arrays.symbol_of(arrays.samples)].astype(object)
    labels = arrays.axis[arrays.session[arrays.samples]]
    index = pd.MultiIndex.from_arrays([owners, labels], names=[INSTRUMENT, DATETIME])
    features = pd.DataFrame(arrays.panel(), index=index, columns=list(arrays.columns))
    target = pd.DataFrame({"LABEL0": arrays.labels.value.astype(np.float32)}, index=index)
    parts = {theirs: getattr(split, ours) for ours, theirs in _SEGMENTS.items()}
    segments = {name: (session_key(part.first), session_key(part.last)) for name, part in parts.items()}
    return dataset(features, target, segments)
