"""Bars of many symbols in one long array: the form in which features are computed."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.errors import DataRejected
from quant_pipelines.kernels.compiled import Doubles, Rows, Singles

FIELDS = ("open", "high", "low", "close", "volume", "vwap")
PRICE_FIELDS = ("open", "high", "low", "close", "vwap")
Sessions = NDArray[np.datetime64]
Mask = NDArray[np.bool_]
Bars = NDArray[np.floating[Any]]
_PRECISIONS = ("float32", "float64")
_LARGEST = float(np.finfo(np.float32).max)


class PanelRejected(DataRejected):
    """The bars do not make a panel."""

    code: ClassVar[str] = "QP250"


@dataclass(frozen=True, eq=False)
class BarPanel:
    """One row per field, float64 or float32; the sessions of a symbol stand together, oldest first.

    Every session since a symbol's first must have a row; a suspended one holds NaN, since windows count sessions.
    `factor` tells what the panel's prices were multiplied with, so that a level can be told in its session's own
    money; None where nothing was.
    """

    values: Bars
    offsets: Rows
    symbols: tuple[str, ...]
    sessions: Sessions
    factor: Doubles | None = None

    def __post_init__(self) -> None:
        rows = self.sessions.size
        if self.values.shape != (len(FIELDS), rows) or self.values.dtype.name not in _PRECISIONS:
            raise PanelRejected(
                f"Bars are {self.values.dtype} {self.values.shape}; "
                f"a panel of {rows} rows is float64 or float32 {(len(FIELDS), rows)}."
            )
        if self.factor is not None and self.factor.shape != (rows,):
            raise PanelRejected(f"There are {self.factor.size} factors for {rows} rows. Give one for each row.")
        steps = np.diff(self.offsets)
        if (
            self.offsets.size != len(self.symbols) + 1
            or self.offsets[0] != 0
            or self.offsets[-1] != rows
            or (steps < 0).any()
        ):
            raise PanelRejected(
                f"Offsets {self.offsets[:3]} .. {self.offsets[-1:]} do not divide {rows} rows among "
                f"{len(self.symbols)} symbols. "
                "Give len(symbols) + 1 of them, rising from 0 to the number of rows."
            )
        for name, values in zip(FIELDS, self.values, strict=True):
            beyond = np.flatnonzero(np.abs(values) > _LARGEST)
            if beyond.size:
                raise PanelRejected(
                    f"{name} is {values[beyond[0]]} on {self.sessions[beyond[0]]}, which float32 cannot hold. "
                    "Make it missing: drop_impossible does."
                )
        not_rising = np.flatnonzero(~(np.diff(self.sessions) > np.timedelta64(0)))
        inside = np.setdiff1d(not_rising + 1, self.offsets, assume_unique=False)
        if inside.size:
            raise PanelRejected(
                f"Session {self.sessions[inside[0]]} does not come after {self.sessions[inside[0] - 1]} "
                "of the same symbol. "
                "Sort by symbol and session and drop repeated keys."
            )

    @property
    def rows(self) -> int:
        return int(self.sessions.size)

    def field(self, name: str) -> Bars:
        """One field's row."""
        return self.values[FIELDS.index(name)]

    def singles(self, name: str) -> Singles:
        """One field's row as float32, as pyqlib holds it."""
        return self.field(name).astype(np.float32, copy=False)

    @cached_property
    def suspended(self) -> Mask:
        """Rows on which the symbol did not trade."""
        return np.isnan(self.field("close"))

    @classmethod
    def from_table(cls, table: pa.Table) -> Self:
        """From bars sorted by symbol and session, already adjusted as of the cutoff, in the precision of the table.

        A price that is not positive and a volume below zero are missing, as is anything beyond float32.
        """
        single = all(table.schema.field(name).type == pa.float32() for name in FIELDS)
        values = np.empty((len(FIELDS), table.num_rows), np.float32 if single else np.float64)
        for row, name in zip(values, FIELDS, strict=True):
            row[:] = table.column(name).to_numpy()
        drop_impossible(values)
        encoded = table.column(SYMBOL).combine_chunks().dictionary_encode()
        codes = encoded.indices.to_numpy()
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        if starts.size != len(encoded.dictionary):
            raise PanelRejected("The rows of a symbol do not stand together. Sort the table by symbol and session.")
        sessions = table.column(SESSION).to_numpy().astype("datetime64[us]")
        return cls(
            values, np.append(starts, table.num_rows).astype(np.int64), tuple(encoded.dictionary.to_pylist()), sessions
        )

    def until(self, session: np.datetime64) -> Self:
        """What was known at the close of a session: later rows are cut off."""
        return self._keep(self.sessions <= session)

    def latest(self, rows: int) -> Self:
        """Only the last `rows` sessions of every symbol."""
        length = np.diff(self.offsets)
        from_end = np.repeat(self.offsets[1:], length) - np.arange(self.rows)
        return self._keep(from_end <= rows)

    def only(self, symbols: set[str]) -> Self:
        """Only some symbols."""
        wanted = np.fromiter((symbol in symbols for symbol in self.symbols), bool, len(self.symbols))
        kept = self._keep(np.repeat(wanted, np.diff(self.offsets)))
        lengths = np.diff(kept.offsets)[wanted]
        names = tuple(symbol for symbol, keep in zip(self.symbols, wanted, strict=True) if keep)
        return replace(kept, offsets=np.append(0, np.cumsum(lengths)), symbols=names)

    def between(self, first: int, last: int) -> Self:
        """The symbols from number `first` up to and without number `last`, without a copy."""
        rows = slice(int(self.offsets[first]), int(self.offsets[last]))
        return replace(
            self,
            values=self.values[:, rows],
            offsets=self.offsets[first : last + 1] - self.offsets[first],
            symbols=self.symbols[first:last],
            sessions=self.sessions[rows],
            factor=None if self.factor is None else self.factor[rows],
        )

    def _keep(self, mask: Mask) -> Self:
        before = np.append(0, np.cumsum(mask))
        return replace(
            self,
            values=np.ascontiguousarray(self.values[:, mask]),
            offsets=before[self.offsets],
            sessions=self.sessions[mask],
            factor=None if self.factor is None else self.factor[mask],
        )


def drop_impossible(values: Bars) -> None:
    """NaN for prices that are not positive, negative volumes and what float32 cannot hold, in place."""
    for row, name in zip(values, FIELDS, strict=True):
        possible = (row > 0) if name in PRICE_FIELDS else (row >= 0)
        row[~(possible & (np.abs(row) <= _LARGEST))] = np.nan
