"""Bars laid out as sessions x symbols, so that yesterday is one row up."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from quant_pipelines.arrays import SESSION, SESSION_TYPE, SYMBOL
from quant_pipelines.calendars import Session


@dataclass(frozen=True)
class Grid:
    """The axes: sessions downwards, symbols across, both sorted."""

    sessions: Sequence[Session]
    symbols: Sequence[str]

    @cached_property
    def session_labels(self) -> np.ndarray:
        return np.array(self.sessions, dtype="datetime64[us]")

    @cached_property
    def symbol_labels(self) -> np.ndarray:
        return np.array(self.symbols, dtype=object)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.sessions), len(self.symbols)

    def cells(self, table: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row positions, column positions, and which rows of the table lie on the grid at all."""
        rows = np.searchsorted(self.session_labels, table[SESSION].to_numpy())
        symbols = table[SYMBOL].combine_chunks().dictionary_encode()
        position = {symbol: column for column, symbol in enumerate(self.symbols)}
        columns = np.array([position.get(name, -1) for name in symbols.dictionary.to_pylist()], dtype=np.int64)
        columns = columns[symbols.indices.to_numpy(zero_copy_only=False)] if table.num_rows else columns[:0]
        rows_safe = np.minimum(rows, len(self.sessions) - 1)
        inside = (columns >= 0) & (self.session_labels[rows_safe] == table[SESSION].to_numpy())
        return rows, columns, inside

    def spread(self, table: pa.Table, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Each named column as a matrix, NaN where the table has no row."""
        rows, columns, inside = self.cells(table)
        spread: dict[str, np.ndarray] = {}
        for name in names:
            matrix = np.full(self.shape, np.nan)
            matrix[rows[inside], columns[inside]] = table[name].to_numpy(zero_copy_only=False)[inside]
            spread[name] = matrix
        return spread

    def mark(self, table: pa.Table) -> np.ndarray:
        """True where the table has a row."""
        rows, columns, inside = self.cells(table)
        marked = np.zeros(self.shape, dtype=bool)
        marked[rows[inside], columns[inside]] = True
        return marked

    def keys(self, chosen: np.ndarray) -> tuple[pa.Array, pa.Array]:
        """Session and symbol of the chosen cells, in (session, symbol) order."""
        rows, columns = np.nonzero(chosen)
        return (
            pa.array(self.session_labels[rows], SESSION_TYPE),
            pa.array(self.symbol_labels[columns], pa.string()),
        )
