"""What a model reads and learns from: arrays over one block, nothing copied until a batch is asked for."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.models.failures import NotLearnable
from quant_pipelines.models.spec import ModelSettings, ModelSpec

# float32 holds what a net squares and sums up to about here; a feature beyond it was never scaled.
LARGEST_SCALED = 1e6
_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, eq=False, kw_only=True)
class Inputs:
    """Rows to predict. Row i sees the last `length` rows of the block up to and with `ends[i]`.

    The block is float32 (rows x columns), a symbol's sessions side by side. `sessions` groups the rows by when they
    were known: places on an axis, for measures that are taken session by session.
    """

    block: NDArray[np.float32]
    ends: NDArray[np.int64]
    sessions: NDArray[np.int64]
    columns: tuple[str, ...]
    length: int = 1

    def __post_init__(self) -> None:
        if self.block.ndim != 2 or self.block.shape[1] != len(self.columns):  # noqa: PLR2004 - a table
            raise ValueError(f"A block of shape {self.block.shape} cannot have {len(self.columns)} columns.")
        if self.ends.shape != self.sessions.shape:
            raise ValueError(f"{self.ends.size} rows have {self.sessions.size} sessions.")
        if self.ends.size and (int(self.ends.min()) < self.length - 1 or int(self.ends.max()) >= len(self.block)):
            raise ValueError(f"Rows {self.ends.min()}..{self.ends.max()} do not have {self.length} rows of the block.")

    def __len__(self) -> int:
        return int(self.ends.size)

    def panel(self, chosen: Any = slice(None)) -> NDArray[np.float32]:
        """(rows x columns): the last session of some rows, as one contiguous array."""
        return self.block[self.ends[chosen]]

    def sequences(self, chosen: Any = slice(None)) -> NDArray[np.float32]:
        """(rows x length x columns) of some rows, as one contiguous array."""
        return self.windows[self.ends[chosen] - self.length + 1]

    @property
    def windows(self) -> NDArray[np.float32]:
        """Every window of the block as a view: (places x length x columns)."""
        shape = (max(self.block.shape[0] - self.length + 1, 0), self.length, self.block.shape[1])
        row, column = self.block.strides
        return np.lib.stride_tricks.as_strided(self.block, shape, (row, row, column), writeable=False)

    def rows(self, chosen: Any) -> "Inputs":
        """Some of the rows, of the same block."""
        return replace(self, ends=self.ends[chosen], sessions=self.sessions[chosen])


@dataclass(frozen=True, eq=False, kw_only=True)
class Examples:
    """Rows with what came after. `target` is float32 (rows x outputs), or int64 classes (rows) from 0.

    `weight` is how much each row counts; None: all the same.
    """

    inputs: Inputs
    target: NDArray[Any]
    weight: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if len(self.target) != len(self.inputs):
            raise ValueError(f"{len(self.inputs)} rows have {len(self.target)} targets.")
        if self.weight is not None and self.weight.shape != (len(self.inputs),):
            raise ValueError(f"{len(self.inputs)} rows have weights of shape {self.weight.shape}.")

    def __len__(self) -> int:
        return len(self.inputs)

    def rows(self, chosen: Any) -> "Examples":
        """Some of the rows."""
        weight = None if self.weight is None else self.weight[chosen]
        return replace(self, inputs=self.inputs.rows(chosen), target=self.target[chosen], weight=weight)


def require_learnable(spec: ModelSpec, settings: ModelSettings, *parts: Examples) -> None:
    """Refuse what nothing can be learned from, and what the kind cannot read. The first part is the training part."""
    train = parts[0]
    if not len(train):
        raise NotLearnable(f"{settings.kind} was given no row to learn from. Use a longer training window.")
    for part in parts:
        require_readable(spec, settings, part.inputs)
        if not np.isfinite(part.target).all():
            count = int((~np.isfinite(np.asarray(part.target, np.float64))).sum())
            raise NotLearnable(f"{count} labels are NaN or infinite. Leave out rows whose label is not known.")
    if settings.task.kind == "classes":
        found = np.unique(train.target)
        if found.size == 1:
            raise NotLearnable(
                f"Every one of the {len(train)} training labels is of class {int(found[0])}, so there is nothing to "
                "tell apart. Use a longer training window or another label set."
            )
    elif len(train) > 1 and np.ptp(train.target, axis=0).max() == 0:
        raise NotLearnable(f"All {len(train)} training labels are equal, so there is nothing to learn.")


def require_readable(spec: ModelSpec, settings: ModelSettings, inputs: Inputs) -> None:
    """Refuse columns that are not those of the model, and values that the kind cannot read."""
    if inputs.columns != settings.columns:
        missing = [name for name in settings.columns if name not in inputs.columns]
        told = f"lacks {', '.join(missing[:3])}" if missing else "has other columns, or in another order"
        raise NotLearnable(f"The data {told}; {settings.kind} was made for {len(settings.columns)} columns by name.")
    if inputs.length != settings.length:
        raise NotLearnable(f"{settings.kind} sees {settings.length} sessions at once, but was given {inputs.length}.")
    used = _used_rows(inputs)
    for first in range(0, used.size, _ROWS_AT_ONCE):
        values = inputs.block[used[first : first + _ROWS_AT_ONCE]]
        _require_values(spec, settings, values)


def _require_values(spec: ModelSpec, settings: ModelSettings, values: NDArray[np.float32]) -> None:
    infinite = np.isinf(values).any(axis=0)
    if infinite.any():
        raise NotLearnable(f"Column {_first(settings, infinite)} holds an infinity. Mend the feature.")
    missing = np.isnan(values).any(axis=0)
    if missing.any() and not spec.takes_missing:
        raise NotLearnable(
            f"Column {_first(settings, missing)} has missing values, which {settings.kind} cannot read. Write "
            "`normalisation: {kind: robust, missing: centre}` into the strategy, or leave the column out."
        )
    large = (np.abs(values) > LARGEST_SCALED).any(axis=0)
    if large.any() and not spec.takes_any_scale:
        raise NotLearnable(
            f"Column {_first(settings, large)} holds values beyond {LARGEST_SCALED:g}, with which {settings.kind} "
            "cannot calculate. Write `normalisation: {kind: robust, clip: 3, missing: centre}` into the strategy."
        )


def _first(settings: ModelSettings, found: NDArray[np.bool_] | np.bool_) -> str:
    return settings.columns[int(np.argmax(found))]


def _used_rows(inputs: Inputs) -> NDArray[np.int64]:
    """The rows of the block that any window touches."""
    touched = np.zeros(len(inputs.block) + 1, np.int64)
    np.add.at(touched, inputs.ends - inputs.length + 1, 1)
    np.add.at(touched, inputs.ends + 1, -1)
    return np.flatnonzero(np.cumsum(touched[:-1]) > 0)
