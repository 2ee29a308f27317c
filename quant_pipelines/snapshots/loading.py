"""A snapshot's arrays: views of one contiguous float32 block, mapped into memory."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.calendars import Session
from quant_pipelines.snapshots.document import Document, Part
from quant_pipelines.snapshots.store import SnapshotStore
from quant_pipelines.validation import LabelSpans

Block = NDArray[np.float32]
Places = NDArray[np.int64]
PartName = Literal["train", "validation", "holdout"]


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelArrays:
    """One entry per sample. `opens` and `resolves` are places on the axis; `buyable` is 1, 0 or -1 (unknown)."""

    value: NDArray[np.float64]
    opens: NDArray[np.int32]
    resolves: NDArray[np.int32]
    buyable: NDArray[np.int8]
    direction: NDArray[np.int8] | None
    returns: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class Sequences:
    """The last `length` sessions of rows of the block, without a copy.

    `windows[at]` is (length x columns); `at[i]` is that of `samples[i]`. `short` samples have too few sessions before
    them and are left out.
    """

    windows: Block
    at: Places
    samples: Places
    short: Places

    def __len__(self) -> int:
        return int(self.samples.size)

    def batch(self, chosen: Any) -> Block:
        """(sequences x length x columns) of some of them, as one contiguous array."""
        return self.windows[self.at[chosen]]


@dataclass(frozen=True, eq=False, kw_only=True)
class SnapshotArrays:
    """What a model is trained on, or asked about.

    The block has a row per symbol and session, a symbol's sessions side by side: `symbols[i]` has the rows from
    `offsets[i]` to `offsets[i + 1]`, and `session` is each row's place on `axis`. `member` rows are those of the
    universe in the window. `samples` are rows by session and symbol; without `labels` they are those to predict.
    """

    document: Document
    block: Block
    columns: tuple[str, ...]
    symbols: NDArray[np.str_]
    axis: NDArray[np.datetime64]
    offsets: Places
    session: NDArray[np.int32]
    member: NDArray[np.bool_]
    samples: Places
    labels: LabelArrays | None

    @property
    def sequence_sessions(self) -> int:
        """How many sessions the strategy's model sees at once."""
        return self.document.recipe.sequence_sessions

    def panel(self, chosen: Any = slice(None)) -> Block:
        """(samples x columns) of some samples, as one contiguous array."""
        return self.block[self.samples[chosen]]

    def sequences(self, length: int | None = None) -> Sequences:
        """Windows that end with each sample; as long as the strategy's model sees unless told."""
        length = self.sequence_sessions if length is None else length
        shape = max(self.block.shape[0] - length + 1, 0), length, self.block.shape[1]
        step = self.block.strides[0]
        windows = np.lib.stride_tricks.as_strided(
            self.block, shape, (step, step, self.block.strides[1]), writeable=False
        )
        begins = self.samples - length + 1
        whole = begins >= self.offsets[self.symbol_of(self.samples)]
        return Sequences(windows, begins[whole], np.flatnonzero(whole), np.flatnonzero(~whole))

    def part(self, name: PartName) -> Places:
        """The samples of a part of the split, by number; none where there is no split."""
        split = self.document.outcome.split
        part: Part | None = None if split is None else getattr(split, name)
        if part is None:
            return np.empty(0, np.int64)
        labels = self.axis[self.session[self.samples]]
        return np.flatnonzero((labels >= np.datetime64(part.first, "us")) & (labels <= np.datetime64(part.last, "us")))

    @property
    def spans(self) -> LabelSpans:
        """When each sample's label opens and resolves, for splits of one's own."""
        if self.labels is None:
            raise ValueError("An inference has no labels. Use a training snapshot.")
        places = (self.session[self.samples], self.labels.opens, self.labels.resolves)
        return LabelSpans(*(each.astype(np.int64) for each in places))

    def symbol_of(self, rows: Places) -> Places:
        """Whose rows of the block these are, by number."""
        return np.searchsorted(self.offsets, rows, side="right") - 1

    def rows_of(self, session: Session) -> Places:
        """The rows of one session, by symbol."""
        return np.flatnonzero(self.axis[self.session] == np.datetime64(session, "us"))


def load(store: SnapshotStore, document: Document) -> SnapshotArrays:
    """Map the arrays. Their bytes are compared with their names once per process."""
    found = {each.name: store.array(each.blob) for each in document.outcome.arrays}
    small = {name: np.asarray(each) for name, each in found.items() if name != "block"}
    return SnapshotArrays(
        document=document,
        block=found["block"],
        columns=document.recipe.columns,
        symbols=small["symbols"],
        axis=small["axis"],
        offsets=small["offsets"],
        session=small["session"],
        member=small["member"],
        samples=small["sample_rows"] if "sample_rows" in small else np.flatnonzero(small["member"]),
        labels=_labels(small),
    )


def _labels(small: dict[str, NDArray[Any]]) -> LabelArrays | None:
    if "value" not in small:
        return None
    names = ("value", "opens", "resolves", "buyable")
    return LabelArrays(
        **{name: small[name] for name in names}, direction=small.get("direction"), returns=small.get("returns")
    )
