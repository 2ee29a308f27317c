"""A market of any size to measure on: late listings, suspensions, quiet days. For benchmarks only."""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from quant_pipelines.features.panel import BarPanel


def make_market(symbols: int, sessions: int, seed: int = 7) -> BarPanel:
    """Two in five symbols are listed late; one session in sixty is suspended."""
    rng = np.random.default_rng(seed)
    late = rng.integers(1, int(sessions * 0.85), symbols)
    lengths = np.where(rng.random(symbols) < 0.6, sessions, sessions - late)
    offsets = np.append(0, np.cumsum(lengths)).astype(np.int64)
    values = np.empty((6, offsets[-1]), np.float32)
    calendar = np.arange(np.datetime64("2005-01-03"), np.datetime64("2005-01-03") + sessions).astype("datetime64[us]")
    labels = np.concatenate([calendar[sessions - length :] for length in lengths])
    for begin, end in pairwise(offsets.tolist()):
        values[:, begin:end] = _bars(rng, end - begin)
    return BarPanel(values, offsets, tuple(f"S{number:05d}" for number in range(symbols)), labels)


def _bars(rng: np.random.Generator, length: int) -> Any:
    close = rng.uniform(2, 200) * np.exp(np.cumsum(rng.normal(0, 0.02, length)))
    opened = close * np.exp(rng.normal(0, 0.008, length))
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, 0.008, length)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, 0.008, length)))
    bars = np.round(np.stack([opened, high, low, close, rng.lognormal(13, 0.7, length), (high + low + close) / 3]), 2)
    starts = np.flatnonzero(rng.random(length) < 0.003)
    for start in starts[starts > 0]:
        bars[:, start : start + int(rng.exponential(5)) + 1] = np.nan
    return bars


def measure(work: Callable[[], Any], rounds: int = 3) -> tuple[float, float]:
    """Best wall and best CPU seconds of some rounds."""
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus)


def verdict(name: str, value: float, limit: float, *, at_least: bool) -> None:
    """One line: what was measured, what is promised, whether it holds."""
    holds = value >= limit if at_least else value <= limit
    sign = ">=" if at_least else "<="
    print(f"{'ok  ' if holds else 'MISS'} {name}: {value:.3g} (promised {sign} {limit:g})")
