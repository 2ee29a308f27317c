"""Examples as pyqlib's DatasetH."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.models.data import Examples

_TRAIN, _VALIDATION, _TEST = "train", "valid", "test"
_FIRST = np.datetime64("1970-01-01", "us")
_LABEL = "label"


def flat(examples: Examples) -> NDArray[np.float32]:
    """(rows x columns * length): one column's sessions side by side, as pyqlib's nets cut them again."""
    if examples.inputs.length == 1:
        return examples.inputs.panel()
    return np.ascontiguousarray(examples.inputs.sequences().transpose(0, 2, 1)).reshape(len(examples), -1)


def dataset_of(train: Examples, validation: Examples) -> Any:
    """Both parts with days of their own: pyqlib tells parts apart by day. The order of rows within a day is kept."""
    import pandas as pd
    from qlib.data.dataset import DatasetH
    from qlib.data.dataset.handler import DataHandlerLP

    days, frames, segments = 0, list[Any](), dict[str, tuple[Any, Any]]()
    for name, part in ((_TRAIN, train), (_VALIDATION, validation)):
        sessions, place = np.unique(part.inputs.sessions, return_inverse=True)
        if sessions.size:
            frames.append(_frame(part, _FIRST + np.timedelta64(1, "D") * (place + days)))
            segments[name] = _day(days), _day(days + sessions.size - 1)
            days += sessions.size
    # Some classes ask for a test part and do not look at it.
    segments[_TEST] = segments[_VALIDATION] if _VALIDATION in segments else segments[_TRAIN]
    return DatasetH(DataHandlerLP.from_df(pd.concat(frames).sort_index(kind="stable")), segments)


def reweighter_of(train: Examples, validation: Examples) -> Any:
    """What gives pyqlib each row's weight; None where all count the same."""
    if train.weight is None:
        return None
    import pandas as pd
    from qlib.data.dataset.weight import Reweighter

    class Weights(Reweighter):
        """The weight stands in a column of the label, so it goes where its row goes."""

        def __init__(self, found: Any) -> None:
            self._found = found

        def reweight(self, data: Any) -> Any:
            return self._found.loc[data.index]

    days, found = 0, list[Any]()
    for part in (train, validation):
        sessions, place = np.unique(part.inputs.sessions, return_inverse=True)
        index = _index(_FIRST + np.timedelta64(1, "D") * (place + days))
        weight = np.ones(len(part), np.float32) if part.weight is None else part.weight
        found.append(pd.Series(weight, index=index))
        days += sessions.size
    return Weights(pd.concat(found))


def _frame(part: Examples, days: NDArray[np.datetime64]) -> Any:
    import pandas as pd

    values = flat(part)
    names = [("feature", f"f{place:06d}") for place in range(values.shape[1])]
    frame = pd.DataFrame(values, index=_index(days), columns=pd.MultiIndex.from_tuples(names))
    frame[_LABEL, "LABEL0"] = part.target[:, 0]
    return frame


def _index(days: NDArray[np.datetime64]) -> Any:
    """The day, and the row's number: pyqlib wants an instrument, examples have none."""
    import pandas as pd

    numbers = np.char.zfill(np.arange(days.size).astype(str), 9)
    return pd.MultiIndex.from_arrays([days, numbers], names=["datetime", "instrument"])


def _day(number: int) -> Any:
    import pandas as pd

    return pd.Timestamp(_FIRST + np.timedelta64(number, "D"))
