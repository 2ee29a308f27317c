"""Panels and features as pyqlib's frames and datasets, and back."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.errors import DataRejected
from quant_pipelines.features.panel import FIELDS, BarPanel

INSTRUMENT, DATETIME = "instrument", "datetime"


class FrameRefused(DataRejected):
    """The frame is not in pyqlib's form."""

    code: ClassVar[str] = "QP257"


def bars_frame(panel: BarPanel) -> Any:
    """The bars with columns `$open ...` under the index (instrument, datetime)."""
    return _frame(panel, {f"${name}": panel.field(name) for name in FIELDS})


def features_frame(panel: BarPanel, names: Sequence[str], values: NDArray[np.floating[Any]]) -> Any:
    """Feature rows of a panel's length as columns under the index (instrument, datetime)."""
    return _frame(panel, dict(zip(names, values, strict=True)))


def panel_of(frame: Any) -> BarPanel:
    """The panel of a frame with columns `$open ...`; symbols come in the order of their first row."""
    if list(frame.index.names) != [INSTRUMENT, DATETIME]:
        raise FrameRefused(f"The index is {list(frame.index.names)}; pyqlib's is [{INSTRUMENT}, {DATETIME}].")
    missing = [f"${name}" for name in FIELDS if f"${name}" not in frame.columns]
    if missing:
        raise FrameRefused(
            f"Columns {missing} are missing; found {list(frame.columns)}. Rename prices to $open, $high ..."
        )
    names = frame.index.get_level_values(INSTRUMENT).to_numpy()
    starts = np.flatnonzero(np.append(True, names[1:] != names[:-1])) if len(names) else np.array([], np.int64)
    if len(set(names[starts])) != len(starts):
        raise FrameRefused("The rows of an instrument do not stand together. Sort the frame by its index.")
    values = np.stack([frame[f"${name}"].to_numpy() for name in FIELDS])
    sessions = frame.index.get_level_values(DATETIME).to_numpy().astype("datetime64[us]")
    return BarPanel(values, np.append(starts, len(names)).astype(np.int64), tuple(map(str, names[starts])), sessions)


def dataset(features: Any, label: Any, segments: Mapping[str, tuple[str, str]]) -> Any:
    """A `DatasetH` over frames that are already computed: nothing is loaded, filled or scaled behind one's back."""
    import pandas as pd
    from qlib.data.dataset import DatasetH
    from qlib.data.dataset.handler import DataHandlerLP

    # pyqlib wants the session first and sorted, and a level that says feature or label.
    joined = pd.concat({"feature": features, "label": label}, axis=1)
    joined = joined.swaplevel(0, 1).sort_index()
    return DatasetH(DataHandlerLP.from_df(joined), dict(segments))


def _frame(panel: BarPanel, columns: Mapping[str, NDArray[np.floating[Any]]]) -> Any:
    import pandas as pd

    symbols = np.repeat(np.array(panel.symbols, dtype=object), np.diff(panel.offsets))
    index = pd.MultiIndex.from_arrays([symbols, panel.sessions], names=[INSTRUMENT, DATETIME])
    return pd.DataFrame(dict(columns), index=index)
