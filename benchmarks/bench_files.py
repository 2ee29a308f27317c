"""How fast the files source is, against pyarrow's CSV reader on the same bytes.

    python benchmarks/bench_files.py [symbols] [sessions]

The target, for 1000 symbols x 2500 sessions: all bars within 3 times what reading the files takes.
"""

import argparse
import gc
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from quant_pipelines.calendars import calendar_named
from quant_pipelines.markets.market import FilesSource
from quant_pipelines.sources.files import FileBars
from quant_pipelines.sources.protocol import BarRequest

TARGET = 3.0
ROUNDS = 3
ALWAYS = BarRequest(first=datetime(1900, 1, 1), last=datetime(2100, 1, 1))


def write_files(folder: Path, symbols: int, sessions: int, day: str) -> None:
    """One CSV per symbol, with the columns of a common vendor."""
    chance = np.random.default_rng(7)
    begin = np.datetime64("2010-01-04")
    labels = [each.strftime(day) for each in (begin + np.arange(sessions)).astype(datetime)]
    folder.mkdir()
    for number in range(symbols):
        close = 100 * np.exp(np.cumsum(chance.normal(0, 0.02, sessions)))
        volume = chance.integers(100_000, 100_000_000, sessions)
        lines = [
            f"{label},{price * 1.001:.4f},{price * 1.01:.4f},{price * 0.99:.4f},{price:.4f},{size},{size * price:.2f}\n"
            for label, price, size in zip(labels, close, volume, strict=True)
        ]
        (folder / f"S{number:04d}.csv").write_text("date,open,high,low,close,volume,amount\n" + "".join(lines), "utf-8")


def write_one_file(folder: Path, into: Path) -> None:
    """The same rows in one file of many symbols."""
    into.mkdir()
    with (into / "all.csv").open("w", encoding="utf-8") as file:
        file.write("symbol,date,open,high,low,close,volume,amount\n")
        for path in sorted(folder.iterdir()):
            file.writelines(f"{path.stem},{line}\n" for line in path.read_text("utf-8").splitlines()[1:])


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    gc.collect()
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def source_of(folder: Path) -> FileBars:
    return FileBars(FilesSource(kind="files", path=folder), calendar_named("24/7"))


def one_round(folder: Path, paths: list[Path]) -> tuple[float, float, float, float, int]:
    """Seconds for pyarrow, for all bars, for one session more and for the watermark; and the number of rows."""
    one = BarRequest(first=datetime(2015, 1, 5), last=datetime(2015, 1, 5))
    plain, _ = seconds(lambda: [csv.read_csv(path) for path in paths])
    source = source_of(folder)
    whole, rows = seconds(lambda: source.bars(ALWAYS).num_rows)
    again, _ = seconds(lambda: source.bars(one))
    mark, _ = seconds(source.watermark)
    return plain, whole, again, mark, rows


def measure(name: str, folder: Path) -> float:
    """Best of a few rounds, since others may use the machine; prints one line and gives the ratio."""
    paths = sorted(folder.iterdir())
    rounds = [one_round(folder, paths) for _ in range(ROUNDS)]
    rows = rounds[0][-1]
    plain, whole, again, mark = (min(each) for each in list(zip(*rounds, strict=True))[:-1])
    size = sum(path.stat().st_size for path in paths) / 1e6
    print(
        f"{name:<34} {rows:>9,} rows {size:5.0f} MB | pyarrow {plain:5.2f} s | all bars {whole:5.2f} s = "
        f"{whole / plain:4.2f}x | one session again {again * 1e3:5.1f} ms | watermark {mark * 1e3:5.1f} ms"
    )
    return whole / plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("symbols", type=int, nargs="?", default=1000)
    parser.add_argument("sessions", type=int, nargs="?", default=2500)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        write_files(root / "iso", asked.symbols, asked.sessions, "%Y-%m-%d")
        ratio = measure("a file per symbol, 2014-01-31", root / "iso")
        write_files(root / "compact", asked.symbols, asked.sessions, "%Y%m%d")
        measure("a file per symbol, 20140131", root / "compact")
        write_files(root / "slashed", asked.symbols, asked.sessions, "%Y/%m/%d")
        measure("a file per symbol, 2014/01/31", root / "slashed")
        write_one_file(root / "iso", root / "one")
        measure("one file of all symbols", root / "one")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:,.0f} MiB, pyarrow {pa.__version__}, {pa.cpu_count()} processors")
    if ratio > TARGET:
        raise SystemExit(f"{ratio:.2f}x is above the target of {TARGET:g}x.")


if __name__ == "__main__":
    main()
