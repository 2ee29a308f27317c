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

# What a chunk's columns may take beside the block; they are there twice while they are placed.
CHUNK_BYTES = 96_000_000
_FLOAT = 4
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
            _place(_matrix(rows, each.columns), sources, targets, block[:, first:], threads)
        _require_same_rows(recipe, each, layout, filled)
        first += len(each.columns)


def _matrix(rows: pa.Table, names: Sequence[str]) -> Block:
    columns = np.empty((len(names), rows.num_rows), np.float32)
    for row, name in zip(columns, names, strict=True):
        row[:] = rows[name].to_numpy()
    return columns


def _place(columns: Block, sources: Places, targets: Places, block: Block, threads: int) -> None:
    # Every row is written by one part alone, and the kernel lets go of the interpreter lock.
    cuts = np.linspace(0, sources.size, threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        parts = [
            pool.submit(place_rows, columns, sources[begin:end], targets[begin:end], 0, block)
            for begin, end in pairwise(cuts)
        ]
        for part in parts:
            part.result()


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
