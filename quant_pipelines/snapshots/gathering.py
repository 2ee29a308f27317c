"""From the lake into the block: the one way in which training, serving and verification read features (S1-92)."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session, session_key
from quant_pipelines.kernels.placing import place_rows
from quant_pipelines.lake import Table, Window
from quant_pipelines.snapshots.document import FrozenTable, Recipe
from quant_pipelines.snapshots.failures import InputsDisagree
from quant_pipelines.snapshots.layout import Keys, Layout, lay_out

# What a chunk's columns may take beside the block.
CHUNK_BYTES = 96_000_000
_FLOAT = 4
_ROWS_AT_ONCE = 4096
Block = NDArray[np.float32]
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TableAt:
    """A table as it was at one version."""

    table: Table
    version: int

    def read(self, window: Window, columns: Sequence[str]) -> pa.Table:
        return self.table.read(window, columns=columns, as_of=self.version)


Tables = Mapping[str, TableAt]


def laid_out(recipe: Recipe, tables: Tables) -> Layout:
    """The block's rows, by the keys of the first table; the others must have the same."""
    axis = recipe.axis
    keys = tables[recipe.tables[0].table].read(recipe.reads, [SESSION, SYMBOL])
    numbered = Keys.of(keys, np.array(axis, "datetime64[us]"))
    return lay_out(numbered, axis, recipe.row_filter, window_first=recipe.window_first, begun=recipe.begun)


def gather(recipe: Recipe, tables: Tables, layout: Layout, block: Block, *, threads: int) -> None:
    """Fill the block with every table's columns; rows that no table has are NaN."""
    block[~layout.present] = np.nan
    first = 0
    for each in recipe.tables:
        filled = np.zeros(layout.rows, bool)
        for window in _chunks(recipe, each, layout):
            rows = tables[each.table].read(window, [SESSION, SYMBOL, *each.columns])
            sources, targets = layout.targets(Keys.of(rows, layout.axis))
            filled[targets] = True
            _place(rows.select(list(each.columns)), _Moves(sources, targets), block, first, threads)
        _require_same_rows(recipe, each, layout, filled)
        first += len(each.columns)


@dataclass(frozen=True, slots=True)
class _Moves:
    """Which rows of a table go to which rows of the block; sources rise."""

    sources: Places
    targets: Places

    def within(self, first: int, last: int) -> tuple[Places, Places]:
        """Those of some rows of the table, counted from the first of them."""
        begin, end = np.searchsorted(self.sources, (first, last))
        return self.sources[begin:end] - first, self.targets[begin:end]


def _place(rows: pa.Table, moves: _Moves, block: Block, column: int, threads: int) -> None:
    """Into the block from a column on, a few thousand rows at a time, by way of a buffer that stays in the cache.

    Fresh memory costs more than moving what is in it. Every row of the block is written by one part alone, and the
    kernel lets go of the interpreter lock.
    """
    batches = rows.to_batches(max_chunksize=_ROWS_AT_ONCE)
    begins = np.append(0, np.cumsum([each.num_rows for each in batches])).tolist()
    spans = [(first, last) for first, last in pairwise(begins) if last > first]
    placed = {first: batch for first, batch in zip(begins[:-1], batches, strict=True) if batch.num_rows}

    def work(mine: Sequence[tuple[int, int]]) -> None:
        buffer = np.empty((rows.num_columns, _ROWS_AT_ONCE), np.float32)
        for first, last in mine:
            for row, values in zip(buffer, placed[first].columns, strict=True):
                row[: last - first] = values.to_numpy(zero_copy_only=False)
            # The whole block, which is contiguous: a slice of it would be compiled once more.
            place_rows(buffer, *moves.within(first, last), column, block)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, spans[number::threads]) for number in range(threads)]:
            done.result()


def _chunks(recipe: Recipe, table: FrozenTable, layout: Layout) -> Iterator[Window]:
    """Whole months, since files are months, and as many as may be in memory at once."""
    session_bytes = max(1, len(layout.symbols) * len(table.columns) * _FLOAT)
    most = max(1, CHUNK_BYTES // session_bytes)
    chunk: list[Session] = []
    for _, month in groupby(recipe.axis, key=lambda each: (each.year, each.month)):
        sessions = list(month)
        if chunk and len(chunk) + len(sessions) > most:
            yield Window(chunk[0], chunk[-1])
            chunk = []
        chunk += sessions
    if chunk:
        yield Window(chunk[0], chunk[-1])


def _require_same_rows(recipe: Recipe, table: FrozenTable, layout: Layout, filled: NDArray[np.bool_]) -> None:
    differs = np.flatnonzero(filled != layout.present)
    if differs.size == 0:
        return
    session, symbol = layout.key(int(differs[0]))
    has, other = ("has", "has not") if filled[differs[0]] else ("lacks", "has")
    raise InputsDisagree(
        f"Table {recipe.market}/{table.table} {has} {symbol} in {session_key(session)}, "
        f"{recipe.tables[0].table} {other}; {differs.size} rows differ. Materialise both over these sessions, then "
        "build the snapshot."
    )
