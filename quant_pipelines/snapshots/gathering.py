"""From the lake into the block: the one way in which training, serving and verification read features (S1-92)."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from itertools import groupby

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session, session_key
from quant_pipelines.kernels.placing import place_rows
from quant_pipelines.lake import Table, Version, Window
from quant_pipelines.lineage.made_from import Held, held
from quant_pipelines.snapshots.document import FrozenTable, Recipe
from quant_pipelines.snapshots.failures import InputsDisagree
from quant_pipelines.snapshots.layout import Keys, Layout, lay_out

# What is read at once: so much stays in a core's cache until it is in the block.
CHUNK_BYTES = 16_000_000
# Chunks that are read at once take at most so much of the block's memory beside it.
_BESIDE = 4
_FLOAT = 4
_ROWS_AT_ONCE = 16_384
Block = NDArray[np.float32]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class TableAt:
    """A table as it was at one version, read by so many threads; `glance` as the lake means it."""

    table: Table
    version: int
    threads: int = 1
    glance: bool = False

    @cached_property
    def _version(self) -> Version:
        return self.table.at(self.version)

    def read(
        self,
        window: Window,
        columns: Sequence[str],
        symbols: Collection[str] | None = None,
        coded: Collection[str] = (),
    ) -> pa.Table:
        """The window's rows in key order; files are months, of which the first look compares every byte."""
        read = partial(self._version.read, columns=columns, symbols=symbols, coded=coded, glance=self.glance)
        months = _months(window)
        if len(months) == 1:
            return read(window)
        with ThreadPoolExecutor(self.threads) as pool:
            return pa.concat_tables(pool.map(read, months))

    def made_from(self, window: Window) -> Held:
        """What its sessions were made from, before the rows are read and every byte of the files is compared."""
        return held(replace(self, glance=True), window)


Tables = Mapping[str, TableAt]


def _months(window: Window) -> list[Window]:
    """The window in parts of calendar months."""
    first, last = window.first, window.last
    later = range(first.year * 12 + first.month, last.year * 12 + last.month)
    begins = [datetime(at // 12, at % 12 + 1, 1) for at in later]
    ends = [each - datetime.resolution for each in begins]
    return [Window(*each) for each in zip([first, *begins], [*ends, last], strict=True)]


def laid_out(recipe: Recipe, tables: Tables) -> Layout:
    """The block's rows, by the keys of the first table; the others must have the same."""
    axis = recipe.axis
    keys = tables[recipe.tables[0].table].read(recipe.reads, [SESSION, SYMBOL], coded=[SYMBOL])
    numbered = Keys.of(keys, np.array(axis, "datetime64[us]"))
    return lay_out(numbered, axis, recipe.row_filter, window_first=recipe.window_first, begun=recipe.begun)


def gather(recipe: Recipe, tables: Tables, layout: Layout, block: Block, *, threads: int) -> None:
    """Fill the block with every table's columns; rows that no table has are NaN."""
    block[~layout.present] = np.nan
    first = 0
    for each in recipe.tables:
        target = _Target(layout, block, first, np.zeros(layout.rows, bool))
        session_bytes = max(1, len(layout.symbols) * len(each.columns) * _FLOAT)
        chunks = _chunks(recipe.axis, max(1, CHUNK_BYTES // session_bytes))
        longest = max(map(len, chunks)) * session_bytes
        fill = partial(_fill, target, tables[each.table], each.columns)
        # Every row of the block is written by one chunk alone, and decoding lets go of the interpreter lock.
        with ThreadPoolExecutor(max(1, min(threads, block.nbytes // _BESIDE // longest))) as pool:
            for _ in pool.map(fill, chunks):
                pass
        _require_same_rows(recipe, each, layout, target.filled)
        first += len(each.columns)


def _chunks(axis: Sequence[Session], most: int) -> list[list[Session]]:
    """Whole months, since files are months, and as many as have at most so many sessions."""
    chunks: list[list[Session]] = [[]]
    for _, month in groupby(axis, key=lambda each: (each.year, each.month)):
        sessions = list(month)
        if chunks[-1] and len(chunks[-1]) + len(sessions) > most:
            chunks.append([])
        chunks[-1] += sessions
    return chunks


@dataclass(frozen=True, eq=False, slots=True)
class _Target:
    """The part of the block that is one table's: from a column on; `filled` are the rows that it had."""

    layout: Layout
    block: Block
    first: int
    filled: NDArray[np.bool_]


def _fill(target: _Target, table: TableAt, columns: Sequence[str], chunk: Sequence[Session]) -> None:
    """One chunk of a table into the block."""
    rows = table.read(Window(chunk[0], chunk[-1]), [SESSION, SYMBOL, *columns], coded=[SYMBOL])
    sources, places = target.layout.targets(Keys.of(rows, target.layout.axis))
    target.filled[places] = True
    begin = 0
    for batch in rows.select(list(columns)).to_batches(max_chunksize=_ROWS_AT_ONCE):
        values = batch.to_tensor(null_to_nan=True, row_major=False).to_numpy()
        at = slice(*np.searchsorted(sources, (begin, begin + batch.num_rows)))
        # The whole block, which is contiguous: a slice of it would be compiled once more.
        place_rows(values.T, sources[at] - begin, places[at], target.first, target.block)
        begin += batch.num_rows


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
