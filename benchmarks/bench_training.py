"""Training through the engine against LightGBM on a ready matrix, a search's trials, and how soon learning begins.

    python benchmarks/bench_training.py [--symbols 800] [--sessions 1000] [--columns 158] [--rounds 200] [--trials 8]

The two trainings have equal parameters and take turns, so that a busy machine is busy for both.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_snapshots import build, fill, strategy
from synthetic_market import measure, verdict

from quant_pipelines.clock import SystemClock
from quant_pipelines.journal import FileAnchor, Journal, sqlite_url
from quant_pipelines.lake.storage import LocalStore
from quant_pipelines.models import Machine
from quant_pipelines.snapshots import SnapshotArrays, SnapshotStore, load
from quant_pipelines.training import Engine, Ledger, Order, Search, Searcher, material_of, order_for

TURNS = 3


def opened(folder: Path, chosen: argparse.Namespace) -> SnapshotArrays:
    store = SnapshotStore(LocalStore(folder / f"snapshots_{chosen.scale}"), threads=chosen.threads)
    return load(store, store.document(chosen.id))


def ordered(arrays: SnapshotArrays, chosen: argparse.Namespace) -> Order:
    return order_for(
        strategy(chosen), arrays.document, code_version="bench", machine=Machine(threads=chosen.threads),
        chosen={"num_boost_round": chosen.rounds, "early_stopping_rounds": chosen.rounds, "num_leaves": 63},
    )  # fmt: skip


def first_batch(folder: Path, chosen: argparse.Namespace) -> dict:
    """From the snapshot's name to the first rows as a model reads them; every byte is compared on the way."""
    began = time.perf_counter()
    arrays = opened(folder, chosen)
    order = ordered(arrays, chosen)
    material = material_of(arrays, order.settings, order.strategy.training)
    batch = material.train.examples.inputs.panel(slice(0, 2048))
    return {"wall": time.perf_counter() - began, "rows": len(material.train.examples), "batch": len(batch)}


def against_native(folder: Path, chosen: argparse.Namespace) -> dict:
    """The engine from the snapshot to files and report; LightGBM alone from two ready matrices to a text."""
    arrays = opened(folder, chosen)
    order = ordered(arrays, chosen)
    material = material_of(arrays, order.settings, order.strategy.training)
    train, validation = material.train.examples, material.validation.examples
    x, y, held_x, held_y = train.inputs.panel(), train.target[:, 0], validation.inputs.panel(), validation.target[:, 0]
    engine = Engine(clock=SystemClock(), listener=lambda _: None)
    found: dict[str, list[tuple[float, float]]] = {"engine": [], "native": []}
    for _ in range(TURNS):
        found["engine"].append(measure(lambda: engine.train(order, arrays), rounds=1))
        found["native"].append(measure(lambda: native(order, x, y, held_x, held_y), rounds=1))
    return {name: [min(each) for each in zip(*rounds, strict=True)] for name, rounds in found.items()}


def native(order: Order, x: np.ndarray, y: np.ndarray, held_x: np.ndarray, held_y: np.ndarray) -> str:
    """What a user would write."""
    import lightgbm

    loop = ("num_boost_round", "early_stopping_rounds")
    parameters = {name: value for name, value in order.settings.parameters.items() if name not in loop}
    parameters |= {
        "metric": "l2", "seed": order.seed, "num_threads": order.machine.threads, "verbosity": -1,
        "deterministic": True, "force_row_wise": True, "feature_pre_filter": False,
    }  # fmt: skip
    train = lightgbm.Dataset(x, label=y)
    held = lightgbm.Dataset(held_x, label=held_y, reference=train)
    rounds = int(order.settings.parameters["num_boost_round"])
    booster = lightgbm.train(parameters, train, num_boost_round=rounds, valid_sets=[train, held])
    booster.predict(x, num_threads=order.machine.threads)
    booster.predict(held_x, num_threads=order.machine.threads)
    return booster.model_to_string()


class Moments:
    """When each trial ended, and when the next had its first tree."""

    def __init__(self) -> None:
        self.ended: tuple[float, float] | None = None
        self.setups: list[tuple[float, float]] = []
        self.fresh = False

    def begin(self, *told: object) -> None: ...

    def end(self, *told: object) -> None:
        del told
        self.ended = time.perf_counter(), time.process_time()
        self.fresh = False

    def step(self) -> bool:
        """Asked before each trial, and at each tree."""
        if self.ended is not None:
            if self.fresh:
                self.setups.append((time.perf_counter() - self.ended[0], time.process_time() - self.ended[1]))
                self.ended = None
            self.fresh = True
        return False


def searched(folder: Path, chosen: argparse.Namespace) -> dict:
    """Trials of few trees: what is left is what each costs before it learns."""
    arrays = opened(folder, chosen)
    order = ordered(arrays, argparse.Namespace(**{**vars(chosen), "rounds": 5}))
    moments = Moments()
    journal = Journal(sqlite_url(folder / "journal.db"), FileAnchor(folder / "anchor"), clock=SystemClock())
    walls = {}
    for workers in (1, 2):
        searcher = Searcher(
            folder=folder / f"searches{workers}", ledger=Ledger(journal, "bench"),
            **({"log": moments, "stop": moments.step} if workers == 1 else {}),
        )  # fmt: skip
        began = time.perf_counter()
        searcher.search(order, arrays, Search(trials=chosen.trials, workers=workers, pruning=False))
        walls[workers] = time.perf_counter() - began
    wall, cpu = (statistics.median(each) for each in zip(*moments.setups, strict=True))
    return {"setup": wall, "setup_cpu": cpu, "one": walls[1], "two": walls[2]}


STEPS = {
    "fill": lambda folder, chosen: fill(folder, chosen) or {},
    "build": build,
    "first_batch": first_batch,
    "against_native": against_native,
    "searched": searched,
}


def apart(step: str, folder: Path, chosen: argparse.Namespace, **more: str) -> dict:
    """The step in a process of its own."""
    values = vars(chosen) | more | {"step": step, "folder": str(folder)}
    options = [part for name, value in values.items() if value is not None for part in (f"--{name}", str(value))]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        [sys.executable, __file__, *options], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=800)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--columns", type=int, default=158)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--scale", default="none")
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
        found = apart("build", folder, chosen)["id"]
        first = apart("first_batch", folder, chosen, id=found)
        against = apart("against_native", folder, chosen, id=found)
        search = apart("searched", folder, chosen, id=found)
    print(f"{chosen.symbols} symbols x {chosen.sessions} sessions x {chosen.columns} columns, {first['rows']} to learn")
    verdict("snapshot to first batch in a new process, s", first["wall"], 1, at_least=False)
    engine, native_alone = against["engine"], against["native"]
    print(f"{chosen.rounds} trees: engine {engine[0]:.2f} s, native {native_alone[0]:.2f} s wall")
    for place, name in enumerate(("wall", "CPU")):
        verdict(
            f"engine over LightGBM on a ready matrix, {name}", engine[place] / native_alone[place], 1.1, at_least=False
        )
    verdict("set-up of a trial, its first tree included, s wall", search["setup"], 0.2, at_least=False)
    verdict("set-up of a trial, its first tree included, s CPU", search["setup_cpu"], 0.2, at_least=False)
    print(f"{chosen.trials} trials: {search['one']:.1f} s one by one, {search['two']:.1f} s by two")


if __name__ == "__main__":
    main()
