"""Alpha158 against pyqlib and against writing the result, on the same data in one run.

    python benchmarks/bench_alpha158.py [--symbols 800] [--sessions 2000] [--qlib-symbols 40] [--stream SYMBOLS]

Ratios are of CPU time unless a line says wall; quote wall figures from a quiet machine only.
"""

import argparse
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numba as nb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from synthetic_market import make_market, measure, verdict

from quant_pipelines.features.alpha158.catalogue import LOOK_BACK_SESSIONS, NAMES
from quant_pipelines.features.alpha158.engine import compute, mask_suspended
from quant_pipelines.features.panel import FIELDS, BarPanel
from quant_pipelines.features.point_in_time import Sample, find_leaks
from quant_pipelines.kernels.warmup import compile_kernels
from quant_pipelines.qlib_bridge.provider import write_provider

ROUNDS = 5


def table_of(panel: BarPanel, factors: np.ndarray) -> pa.Table:
    symbols = pa.DictionaryArray.from_arrays(
        np.repeat(np.arange(len(panel.symbols), dtype=np.int32), np.diff(panel.offsets)), list(panel.symbols)
    )
    return pa.table(
        [pa.array(panel.sessions), symbols, *(pa.array(row) for row in factors)], names=["session", "symbol", *NAMES]
    )


def write(table: pa.Table, sink: object) -> None:
    # Dictionaries cost three times the time on floats and make the file larger.
    pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=["symbol"])


def qlib_cpu_seconds_per_row(panel: BarPanel, symbols: int) -> float:
    """The longest-listed symbols, whole history: pyqlib's best case, its cache then serves all windows."""
    some = panel.only(set(np.array(panel.symbols)[np.argsort(-np.diff(panel.offsets))[:symbols]]))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_provider(Path(folder), some)
        import qlib
        from qlib.contrib.data.loader import Alpha158DL
        from qlib.data import D

        qlib.init(provider_uri=folder, kernels=1, joblib_backend="threading", logging_level=40)
        fields, _names = Alpha158DL.get_feature_config()
        wall, cpu = measure(lambda: D.features(list(some.symbols), fields, freq="day"), rounds=1)
    print(f"pyqlib: {some.rows / cpu:,.0f} rows per CPU second, {wall:.1f} s for {some.rows:,} rows")
    return cpu / some.rows


class Nowhere:
    """A file that counts its bytes and keeps none."""

    closed = False

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self.bytes += len(data)
        return len(data)

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None: ...

    def close(self) -> None: ...


def stream(symbols: int, sessions: int, at_once: int = 100) -> None:
    """More rows than fit: a hundred symbols at a time, into the same memory, as Parquet row groups."""
    sink, rows, begin = Nowhere(), 0, time.perf_counter()
    memory = np.empty((len(NAMES), at_once * sessions), np.float32)
    writer = None
    for first in range(0, symbols, at_once):
        panel = make_market(min(at_once, symbols - first), sessions, seed=first)
        out = memory.reshape(-1)[: len(NAMES) * panel.rows].reshape(len(NAMES), panel.rows)
        table = table_of(panel, mask_suspended(compute(panel, threads=2, out=out), panel))
        writer = writer or pq.ParquetWriter(
            pa.PythonFile(sink, "w"), table.schema, compression="zstd", compression_level=1, use_dictionary=["symbol"]
        )
        writer.write_table(table)
        rows += panel.rows
    assert writer
    writer.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"streamed {rows:,} rows, {sink.bytes / 1e9:.1f} GB of Parquet, in {time.perf_counter() - begin:.0f} s")
    verdict("peak memory of streaming, GB", peak, 6, at_least=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=800)
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--qlib-symbols", type=int, default=40)
    parser.add_argument(
        "--stream", type=int, metavar="SYMBOLS", help="instead: so many symbols x 5,000 sessions, streamed"
    )
    chosen = parser.parse_args()
    if chosen.stream:
        stream(chosen.stream, 5_000)
        return
    begin = time.perf_counter()
    spin(1)
    compile_kernels(lambda _name, _done, _all: None)
    print(f"kernels ready after {time.perf_counter() - begin:.1f} s (compiled, or loaded where they were)")
    panel = make_market(chosen.symbols, chosen.sessions)
    out = compute(panel)
    _wall, cpu = measure(lambda: compute(panel, out=out))
    print(
        f"ours: {panel.rows / cpu:,.0f} rows per CPU second, {cpu / panel.rows * 1e9:.0f} ns a row, {panel.rows:,} rows"
    )
    second_thread(panel, out)
    append(panel, out)
    against_storage(panel, out, cpu)
    sample, cuts = Sample(symbols=50, cuts=5, seed=1).of(panel)
    wall, _cpu = measure(lambda: list(find_leaks(compute, sample, compute(sample), NAMES, cuts)), rounds=1)
    verdict("prefix check of 50 symbols x 5 cuts, s", wall, 2, at_least=False)
    verdict("times pyqlib", qlib_cpu_seconds_per_row(panel, chosen.qlib_symbols) * panel.rows / cpu, 80, at_least=True)


def second_thread(panel: BarPanel, out: np.ndarray) -> None:
    """Judged when the machine had two cores to give, which two threads of plain arithmetic tell at that moment."""
    seen = []
    for _ in range(12):
        with ThreadPoolExecutor(2) as pool:
            one, _cpu = measure(partial(spin, 4_000_000), rounds=1)
            two, _cpu = measure(lambda: list(pool.map(spin, [2_000_000] * 2)), rounds=1)
        alone, _cpu = measure(lambda: compute(panel, out=out), rounds=1)
        both, _cpu = measure(lambda: compute(panel, out=out, threads=2), rounds=1)
        seen.append((one / two, alone / both))
    machine, ours = max(seen, key=min)
    verdict(f"second thread, wall (plain arithmetic: {machine:.2f})", ours, 1.7, at_least=True)


@nb.njit(nogil=True)
def spin(steps: int) -> float:
    total = 0.0
    for step in range(steps):
        total += np.sin(step)
    return total


def against_storage(panel: BarPanel, out: np.ndarray, cpu: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw, target = Path(folder) / "raw.parquet", Path(folder) / "alpha158.parquet"
        bars = {name: panel.field(name) for name in FIELDS}
        symbols = np.repeat(panel.symbols, np.diff(panel.offsets))
        pq.write_table(
            pa.table({"session": panel.sessions, "symbol": symbols, **bars}),
            raw,
            compression="zstd",
            use_dictionary=["symbol"],
        )
        table = table_of(panel, out)

        def whole() -> None:
            read = BarPanel.from_table(pq.read_table(raw, read_dictionary=["symbol"]))
            write(table_of(read, mask_suspended(compute(read, out=out), read)), target)

        # In the first round the system hands out memory that nobody touched before.
        pairs = [(_cpu_of(lambda: write(table, target)), _cpu_of(whole)) for _ in range(1 + ROUNDS)][1:]
    writing = statistics.median(each for each, _everything in pairs)
    ratio = statistics.median(everything / alone for alone, everything in pairs)
    verdict("compute over writing it", cpu / writing, 0.35, at_least=False)
    verdict("raw bars to published table over writing it", ratio, 1.4, at_least=False)


def _cpu_of(work: Callable[[], object]) -> float:
    return measure(work, rounds=1)[1]


def append(panel: BarPanel, full: np.ndarray) -> None:
    """One more session for 5,000 symbols."""
    times = max(1, 5_000 // len(panel.symbols))
    one = panel.latest(LOOK_BACK_SESSIONS + 1)
    many = BarPanel(
        np.tile(one.values, times),
        np.append(0, np.cumsum(np.tile(np.diff(one.offsets), times))).astype(np.int64),
        tuple(f"{name}{number}" for number in range(times) for name in one.symbols),
        np.tile(one.sessions, times),
    )
    new = compute(many, newest=1)
    same = np.array_equal(new[:, : len(one.symbols)].view(np.uint32), full[:, panel.offsets[1:] - 1].view(np.uint32))
    with tempfile.TemporaryDirectory() as folder:
        last = many.latest(1)
        wall, _cpu = measure(lambda: write(table_of(last, compute(many, newest=1)), Path(folder) / "day.parquet"))
    verdict(f"append a session to {len(many.symbols)} symbols with its Parquet file, wall s", wall, 1, at_least=False)
    verdict("bits equal to the full run", float(same), 1, at_least=True)


if __name__ == "__main__":
    main()
