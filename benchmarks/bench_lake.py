"""The lake against plain Parquet: python benchmarks/bench_lake.py [--small]. Everything is measured in one run."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1]))

from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Lake, Table, Window, Writer
from quant_pipelines.lake.schemas import Column, TableSchema
from quant_pipelines.lake.tables import PRICES

FIRST = datetime(2014, 1, 1)
WRITER = Writer("benchmark")
_KEY = (
    Column("session", pa.timestamp("us"), "", nullable=False),
    Column("symbol", pa.string(), "", nullable=False),
)
FACTORS = TableSchema(
    "factors",
    "158 factors.",
    key=("session", "symbol"),
    columns=(*_KEY, *(Column(f"factor_{number:03d}", pa.float32(), "") for number in range(158))),
)
CLOSES = TableSchema(
    "closes", "One number.", key=("session", "symbol"), columns=(*_KEY, Column("close", pa.float64(), ""))
)


@dataclass(frozen=True)
class Size:
    symbols: int
    short: int
    long: int
    commits: int


FULL = Size(symbols=5000, short=250, long=2500, commits=2500)
SMALL = Size(symbols=500, short=50, long=250, commits=250)


def rows_of(schema: TableSchema, sessions: range, symbols: int) -> pa.Table:
    """Random rows in key order."""
    chance = np.random.default_rng(len(sessions))
    labels = np.array([FIRST + timedelta(days=day) for day in sessions], "datetime64[us]")
    count = len(labels) * symbols
    columns: dict[str, pa.Array] = {}
    for column in schema.columns:
        if column.name == "session":
            columns[column.name] = pa.array(np.repeat(labels, symbols))
        elif column.name == "symbol":
            names = pa.array([f"SH{symbol:06d}" for symbol in range(symbols)])
            columns[column.name] = pa.DictionaryArray.from_arrays(np.tile(np.arange(symbols), len(labels)), names)
        elif pa.types.is_floating(column.type):
            columns[column.name] = pa.array(chance.normal(size=count).astype(column.type.to_pandas_dtype()))
        elif pa.types.is_boolean(column.type):
            columns[column.name] = pa.array(chance.random(count) < 0.01)
        elif pa.types.is_timestamp(column.type):
            columns[column.name] = pa.array(np.full(count, labels[-1])).cast(column.type)
        else:
            columns[column.name] = pa.array(np.full(count, "benchmark", dtype=object), column.type)
    return pa.table(columns).select(schema.names).cast(schema.arrow)


def window_of(sessions: range) -> Window:
    return Window(FIRST + timedelta(days=sessions[0]), FIRST + timedelta(days=sessions[-1]))


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """The median of some runs."""
    found: list[float] = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return sorted(found)[len(found) // 2]


@contextmanager
def new_table(schema: TableSchema) -> Iterator[Table]:
    with tempfile.TemporaryDirectory() as folder:
        yield table_in(folder, schema)


def table_in(folder: str, schema: TableSchema) -> Table:
    return Lake(folder, clock=SystemClock()).table("bench", schema)


def show(name: str, ours: float, reference: float, against: str) -> None:
    print(f"{name:58s} {ours:8.3f} s  {reference:8.3f} s  {ours / reference:6.2f} x {against}")


def a_month(size: Size) -> None:
    rows = rows_of(FACTORS, range(21), size.symbols)

    def replace() -> None:
        with new_table(FACTORS) as table:
            table.replace(rows, window=window_of(range(21)), writer=WRITER)

    def plain() -> None:
        with tempfile.TemporaryDirectory() as folder:
            pq.write_table(rows, f"{folder}/month.parquet")

    show(f"month of {size.symbols} x 158: replace", seconds(replace), seconds(plain), "pq.write_table at its defaults")
    with new_table(FACTORS) as table:
        table.replace(rows, window=window_of(range(21)), writer=WRITER)
        again = seconds(lambda: table.replace(rows, window=window_of(range(21)), writer=WRITER))
        show("  the same again (nothing written)", again, seconds(plain), "pq.write_table at its defaults")


def a_year(size: Size) -> None:
    sessions = range(size.short)
    rows = rows_of(PRICES, sessions, size.symbols)
    with tempfile.TemporaryDirectory() as root, tempfile.TemporaryDirectory() as folder:
        table, plain = table_in(root, PRICES), f"{folder}/year.parquet"
        written = seconds(lambda: pq.write_table(rows, plain), repeats=1)
        replaced = seconds(lambda: table.replace(rows, window=window_of(sessions), writer=WRITER), repeats=1)
        show(
            f"year of {size.symbols} x {size.short} x {len(PRICES.names)}: replace", replaced, written, "pq.write_table"
        )
        reference = seconds(lambda: pq.read_table(plain))

        def first_read() -> None:
            for path in Path(root).rglob("*.parquet"):
                path.touch()  # a file that may have been written again is looked at anew, as by a new process
            table.read()

        show("  first read in a process (every byte hashed)", seconds(first_read), reference, "pq.read_table")
        show("  later reads (page checksums)", seconds(table.read), reference, "pq.read_table")
        two = seconds(lambda: table.read(columns=["session", "close"]))
        show("  two columns", two, seconds(lambda: pq.read_table(plain, columns=["session", "close"])), "pq.read_table")
        one = seconds(lambda: table.read(window_of(range(7, 8))))
        show("  one session", one, reference, "pq.read_table of all")


def one_session(size: Size) -> None:
    """Append into a short and a long table: the time must not depend on history."""
    found: dict[int, float] = {}
    for length in (size.short, size.long):
        with new_table(CLOSES) as table:
            for begin in range(0, length, 250):
                part = range(begin, min(begin + 250, length))
                table.replace(rows_of(CLOSES, part, size.symbols), window=window_of(part), writer=WRITER)
            days = iter(range(length, length + 9))

            def append(table: Table = table, days: Iterator[int] = days) -> None:
                day = next(days)
                one = range(day, day + 1)
                table.replace(rows_of(CLOSES, one, size.symbols), window=window_of(one), writer=WRITER)

            found[length] = seconds(append, repeats=7)
    show(f"one session into {size.long} sessions", found[size.long], found[size.short], f"into {size.short} sessions")


def many_commits(size: Size) -> None:
    with new_table(CLOSES) as table:
        append_times: list[float] = []
        opens: dict[int, float] = {}
        for day in range(size.commits):
            one = range(day, day + 1)
            rows = rows_of(CLOSES, one, 5)
            append_times.append(
                seconds(lambda one=one, rows=rows: table.replace(rows, window=window_of(one), writer=WRITER), 1)
            )
            if day + 1 in (size.commits // 10, size.commits):
                opens[day + 1] = seconds(table.version, repeats=9)
        tenth = size.commits // 10
        show(f"open after {size.commits} daily commits", opens[size.commits], opens[tenth], f"after {tenth}")
        early, late = (sorted(part)[tenth // 2] for part in (append_times[:tenth], append_times[-tenth:]))
        show("  commit at the end", late, early, "at the beginning")
        history = seconds(table.history)
        ids = seconds(table.session_ids)
        summary = table.files()
        print(
            f"  history of all: {history:.3f} s; ids of all sessions: {ids:.3f} s; "
            f"{summary.count} files in {summary.periods} months"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a tenth of the size, for a quick look")
    size = SMALL if parser.parse_args().small else FULL
    for measure in (a_month, a_year, one_session, many_commits):
        measure(size)


if __name__ == "__main__":
    main()
