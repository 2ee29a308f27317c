"""Snapshots end to end: built from the lake against reading the same columns, loaded again, and how much memory.

    python benchmarks/bench_snapshots.py [--symbols 800] [--sessions 2000] [--columns 200] [--scale standard]

Every figure is of a process of its own, since a process that has looked at a file once does not hash it again.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from synthetic_market import verdict

from quant_pipelines.clock import SystemClock
from quant_pipelines.feature_tables import FeaturePublisher, feature_schema
from quant_pipelines.features.registry import Feature, FeatureRegistry, FeatureSet
from quant_pipelines.labels import KEY, LABEL_SETS, ROWS
from quant_pipelines.lake import Lake, Window, Writer
from quant_pipelines.lake.schemas import Column, TableSchema
from quant_pipelines.lake.storage import LocalStore
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.markets import Market, load_markets
from quant_pipelines.snapshots import Maker, SnapshotBuilder, SnapshotStore, load
from quant_pipelines.snapshots.drafts import Draft
from quant_pipelines.strategies import Strategy

PROJECT = Path(__file__).parents[1]
WRITER = Writer("benchmark")
LABELS = TableSchema(
    "labels", "Labels.", key=KEY, columns=tuple(Column(f.name, f.type, "", nullable=f.nullable) for f in ROWS)
)
CHUNK = 125


def registry(columns: int) -> FeatureRegistry:
    """Features without a definition of their own; their tables are filled with noise."""
    features = tuple(
        Feature(
            name=f"f{number}", kind="custom_features", definition=f"noise {number}", inputs=("close",),
            look_back_sessions=0, sentence="Noise.", created_at=datetime(2024, 1, 1, tzinfo=UTC),
        )
        for number in range(columns)
    )  # fmt: skip
    return FeatureRegistry([FeatureSet(name="custom_features", features=features, compute=lambda panel: panel.values)])


def market() -> Market:
    return load_markets(PROJECT / "markets.yaml")["us"]


def sessions_of(count: int) -> list[datetime]:
    return market().sessions_calendar.sessions(market().begins, datetime(2026, 1, 2))[:count]


def fill(folder: Path, chosen: argparse.Namespace) -> None:
    """Prices, features and labels of every symbol in every session."""
    lake, random = Lake(str(folder / "lake"), clock=SystemClock()), np.random.default_rng(0)
    names = [f"S{number:05d}" for number in range(chosen.symbols)]
    sessions = sessions_of(chosen.sessions)
    features = feature_schema(registry(chosen.columns).sets[0])
    for begin in range(0, len(sessions), CHUNK):
        part = sessions[begin : begin + CHUNK]
        rows = len(part) * len(names)
        keys = {
            "session": pa.array(np.repeat(np.array(part, "datetime64[us]"), len(names))),
            "symbol": pa.array(np.tile(names, len(part))),
        }
        noise = {f"f{n}": pa.array(random.normal(size=rows).astype(np.float32)) for n in range(chosen.columns)}
        window = Window(part[0], part[-1])
        flags = {name: pa.array(np.zeros(rows, bool)) for name in ("suspended", "quarantined")}
        put(lake, PRICES, keys | flags, window)
        put(lake, LABELS, labels(keys, part, sessions, begin, random), window)
        publisher = FeaturePublisher(market=market(), features=registry(chosen.columns).sets[0], lake=lake)
        made_from = publisher.made_from(window, as_of=None)
        digests = pa.array(np.repeat([made_from[each] for each in part], len(names)))
        put(lake, features, keys | noise | {"made_from": digests}, window)


def put(lake: Lake, schema: TableSchema, columns: dict, window: Window) -> None:
    """The columns, and nulls for the others."""
    count = len(columns["session"])
    empty = {name: pa.nulls(count, schema.arrow.field(name).type) for name in schema.names if name not in columns}
    table = pa.table(columns | empty).select(schema.names).cast(schema.arrow)
    lake.table("us", schema).replace(table, window=window, writer=WRITER)


def labels(keys: dict, part: list, sessions: list, begin: int, random: np.random.Generator) -> dict:
    """One label set, resolved after two sessions."""
    names = len(keys["symbol"]) // len(part)
    ahead = [
        np.array([sessions[min(begin + n + k, len(sessions) - 1)] for n in range(len(part))], "datetime64[us]")
        for k in (1, 2)
    ]
    inside = len([n for n in range(len(part)) if begin + n + 2 < len(sessions)]) * names
    columns = keys | {
        "label_set": pa.array(["qlib_return"] * len(keys["symbol"])),
        "opens": pa.array(np.repeat(ahead[0], names)),
        "resolves": pa.array(np.repeat(ahead[1], names)),
        "value": pa.array(random.normal(0, 0.02, len(keys["symbol"]))),
        "ended": pa.array(np.zeros(len(keys["symbol"]), bool)),
        "buyable": pa.array(np.ones(len(keys["symbol"]), bool)),
    }
    return {name: column.slice(0, inside) for name, column in columns.items()}


def strategy(chosen: argparse.Namespace) -> Strategy:
    return Strategy(
        name="bench", description="A benchmark.", market="us", features=["custom_features"], label_set="qlib_return",
        model={"kind": "lightgbm"}, training={"window": {"sessions": chosen.sessions}},
        normalisation={"kind": chosen.scale},
    )  # fmt: skip


def build(folder: Path, chosen: argparse.Namespace) -> dict:
    builder = SnapshotBuilder(
        market=market(), registry=registry(chosen.columns), lake=Lake(str(folder / "lake"), clock=SystemClock()),
        store=SnapshotStore(LocalStore(folder / f"snapshots_{chosen.scale}"), threads=chosen.threads),
        label_spans={name: each.span_sessions for name, each in LABEL_SETS.items()}, maker=Maker("bench", "bench"),
        clock=SystemClock(), threads=chosen.threads,
    )  # fmt: skip
    builder.build(strategy(chosen), sessions_of(chosen.sessions)[20])  # kernels are compiled and libraries loaded
    before = peak()
    wall, cpu = time.perf_counter(), time.process_time()
    built = builder.build(strategy(chosen), sessions_of(chosen.sessions)[-1])
    return {
        "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak": peak() - before,
        "id": built.document.id, "made": built.made,
    }  # fmt: skip


def read(folder: Path, chosen: argparse.Namespace) -> dict:
    """The yardstick: the columns from the lake, by the chunk, dropped at once."""
    table = Lake(str(folder / "lake"), clock=SystemClock()).table(
        "us", feature_schema(registry(chosen.columns).sets[0])
    )
    sessions = sessions_of(chosen.sessions)
    columns = ["session", "symbol", *(f"f{number}" for number in range(chosen.columns))]
    wall, cpu = time.perf_counter(), time.process_time()
    for begin in range(0, len(sessions), CHUNK):
        part = sessions[begin : begin + CHUNK]
        table.read(Window(part[0], part[-1]), columns=columns)
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def write(folder: Path, chosen: argparse.Namespace) -> dict:
    """What nothing that stores the array can save: its bytes in memory once, named by their digest, and in a file."""
    store = SnapshotStore(LocalStore(folder / "written"), threads=chosen.threads)
    wall, cpu = time.perf_counter(), time.process_time()
    with store.drafting() as stage:
        draft = Draft.empty(np.dtype(np.float32), (chosen.symbols * chosen.sessions, chosen.columns), stage)
        draft.array.fill(1)
        store.put_draft(draft)
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def loaded(folder: Path, chosen: argparse.Namespace) -> dict:
    store = SnapshotStore(LocalStore(folder / f"snapshots_{chosen.scale}"), threads=chosen.threads)
    wall = time.perf_counter()
    arrays = load(store, store.document(chosen.id))
    first = time.perf_counter() - wall
    wall = time.perf_counter()
    load(store, store.document(chosen.id))
    second = time.perf_counter() - wall
    windows = arrays.sequences(60)
    picks = np.random.default_rng(0).integers(0, len(windows), 8 * 512)
    wall = time.perf_counter()
    for begin in range(0, picks.size, 512):
        windows.batch(picks[begin : begin + 512])
    gathered = (time.perf_counter() - wall) / picks.size
    return {"first": first, "second": second, "sequence": gathered, "bytes": int(arrays.block.nbytes)}


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


STEPS = {"fill": fill, "build": build, "read": read, "write": write, "load": loaded}


def apart(step: str, folder: Path, chosen: argparse.Namespace, **more: str) -> dict:
    """The step in a process of its own."""
    values = vars(chosen) | more | {"step": step, "folder": str(folder)}
    options = [part for name, value in values.items() if value is not None for part in (f"--{name}", str(value))]
    done = subprocess.run([sys.executable, __file__, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=800)
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--columns", type=int, default=200)
    parser.add_argument("--scale", default="standard", choices=("none", "standard", "robust"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--step", choices=tuple(STEPS))
    parser.add_argument("--folder")
    parser.add_argument("--id")
    chosen = parser.parse_args()
    if chosen.step:
        print(json.dumps(STEPS[chosen.step](Path(chosen.folder), chosen)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        apart("fill", folder, chosen)
        reading, building = apart("read", folder, chosen), apart("build", folder, chosen)
        writing = apart("write", folder, chosen)
        after = apart("load", folder, chosen, id=building["id"])
    print(f"{chosen.symbols} symbols x {chosen.sessions} sessions x {chosen.columns} columns, scale {chosen.scale}")
    print(
        f"reading {reading['wall']:.1f} s wall {reading['cpu']:.1f} s CPU, building {building['wall']:.1f} s wall "
        f"{building['cpu']:.1f} s CPU"
    )
    print(f"writing as many bytes alone {writing['wall']:.1f} s wall {writing['cpu']:.1f} s CPU")
    verdict("build over reading its columns, wall", building["wall"] / reading["wall"], 2, at_least=False)
    verdict("peak memory over the array", building["peak"] / after["bytes"], 2, at_least=False)
    verdict("load in a new process, every byte compared, s", after["first"], 1, at_least=False)
    verdict("load again, s", after["second"], 1, at_least=False)
    print(f"a sequence of 60 sessions, gathered: {1e6 * after['sequence']:.1f} us")


if __name__ == "__main__":
    main()
