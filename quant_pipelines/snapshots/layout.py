"""Where each row of the tables lies in the block: symbol by symbol, every session of a symbol's life side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session
from quant_pipelines.snapshots.document import Membership, RowFilter

Places = NDArray[np.int64]
Mask = NDArray[np.bool_]
_KEY = (SESSION, SYMBOL)


@dataclass(frozen=True, eq=False)
class Keys:
    """Rows of a table as numbers: which of `symbols`, and which session of the axis."""

    symbols: tuple[str, ...]
    codes: Places
    places: Places

    @classmethod
    def of(cls, rows: pa.Table, axis: NDArray[np.datetime64]) -> Self:
        """Rows in any order; symbols are numbered by name. `rows` have them as a dictionary."""
        encoded = rows[SYMBOL].unify_dictionaries().combine_chunks()
        names: list[str] = encoded.dictionary.to_pylist()
        order = np.argsort(np.array(names, object)) if names else np.empty(0, np.int64)
        number = np.empty(len(names), np.int64)
        number[order] = np.arange(len(names))
        codes = number[encoded.indices.to_numpy(zero_copy_only=False)] if names else np.empty(0, np.int64)
        return cls(tuple(names[at] for at in order), codes, places_of(rows[SESSION].to_numpy(), axis))


def places_of(labels: NDArray[Any], axis: NDArray[np.datetime64]) -> Places:
    """Where sessions stand on the axis. Rows of one session lie side by side, so each is looked up about once."""
    begins = np.flatnonzero(np.append(True, labels[1:] != labels[:-1])[: labels.size])
    found = np.searchsorted(axis, labels[begins].astype("datetime64[us]"))
    return np.repeat(found, np.diff(np.append(begins, labels.size)))


@dataclass(frozen=True, eq=False, kw_only=True)
class Layout:
    """The block's rows. A symbol has one for every session from its first row to its last; `present` had one.

    Sessions in between without a row hold NaN, so that a sequence of so many rows is one of so many sessions.
    `member` rows belong to the universe and to the window.
    """

    axis: NDArray[np.datetime64]
    symbols: tuple[str, ...]
    offsets: Places
    first: Places
    present: Mask
    member: Mask

    @property
    def rows(self) -> int:
        return int(self.offsets[-1])

    @property
    def session(self) -> NDArray[np.int32]:
        """Each row's place on the axis."""
        length = np.diff(self.offsets)
        return (np.arange(self.rows) - np.repeat(self.offsets[:-1] - self.first, length)).astype(np.int32)

    def targets(self, keys: Keys) -> tuple[Places, Places]:
        """Which of these rows are in the block, and where."""
        known = np.searchsorted(np.array(self.symbols, object), np.array(keys.symbols, object))
        known = np.minimum(known, max(len(self.symbols) - 1, 0))
        ours = np.array(
            [bool(self.symbols) and self.symbols[at] == name for at, name in zip(known, keys.symbols, strict=True)],
            bool,
        )
        sources = np.flatnonzero(ours[keys.codes]) if keys.codes.size else np.empty(0, np.int64)
        mine = known[keys.codes[sources]]
        within = keys.places[sources] - self.first[mine]
        inside = (within >= 0) & (within < np.diff(self.offsets)[mine])
        return sources[inside], (self.offsets[mine] + within)[inside]

    def key(self, row: int) -> tuple[Session, str]:
        """The session and symbol of a row."""
        symbol = int(np.searchsorted(self.offsets, row, side="right")) - 1
        place = row - self.offsets[symbol] + self.first[symbol]
        return self.label(int(place)), self.symbols[symbol]

    def label(self, place: int) -> Session:
        """The session at a place of the axis."""
        return cast("Session", self.axis[place].item())


def lay_out(
    keys: Keys, axis: Sequence[Session], row_filter: RowFilter, *, window_first: Session, begun: Sequence[str]
) -> Layout:
    """The rows of every symbol that is a member in the window, those before the window included.

    Symbols that had `begun` before the axis have a row from its first session on.
    """
    labels = np.array(axis, "datetime64[us]")
    begins = int(np.searchsorted(labels, np.datetime64(window_first, "us")))
    member = belongs(keys, labels, row_filter) & (keys.places >= begins)
    kept = np.unique(keys.codes[member])
    number = np.full(len(keys.symbols), -1, np.int64)
    number[kept] = np.arange(kept.size)
    ours = number[keys.codes] >= 0
    codes, places = number[keys.codes[ours]], keys.places[ours]
    first, last = np.full(kept.size, len(axis), np.int64), np.full(kept.size, -1, np.int64)
    np.minimum.at(first, codes, places)
    np.maximum.at(last, codes, places)
    first[np.isin(np.array(keys.symbols, object)[kept], np.array(begun, object))] = 0
    offsets = np.append(0, np.cumsum(last - first + 1))
    rows = offsets[codes] + places - first[codes]
    present, members = np.zeros(int(offsets[-1]), bool), np.zeros(int(offsets[-1]), bool)
    present[rows] = True
    members[rows] = member[ours]
    return Layout(
        axis=labels,
        symbols=tuple(keys.symbols[at] for at in kept),
        offsets=offsets,
        first=first,
        present=present,
        member=members,
    )


def belongs(keys: Keys, axis: NDArray[np.datetime64], row_filter: RowFilter) -> Mask:
    """Which rows are those of members on their session."""
    if row_filter.members is not None:
        return _by_date(keys, axis, row_filter.members)
    if row_filter.choice.symbols is None:
        return np.ones(keys.codes.size, bool)
    wanted = np.isin(np.array(keys.symbols, object), np.array(row_filter.choice.symbols, object))
    return wanted[keys.codes] if keys.codes.size else np.zeros(0, bool)


def _by_date(keys: Keys, axis: NDArray[np.datetime64], members: Sequence[Membership]) -> Mask:
    number = {name: at for at, name in enumerate(keys.symbols)}
    inside = np.zeros((len(keys.symbols), axis.size), bool)
    days: Any = axis.astype("datetime64[D]")
    for each in members:
        if each.symbol in number:
            after = days >= np.datetime64(each.first or axis[0], "D")
            inside[number[each.symbol]] |= after & (days <= np.datetime64(each.last or axis[-1], "D"))
    return inside[keys.codes, keys.places]
