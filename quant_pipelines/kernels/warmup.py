"""Compile every kernel once, so that nobody waits later: at set-up, or when an image is built."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from quant_pipelines.kernels import (
    correlation,
    cross_section,
    extremes,
    moments,
    moving,
    order,
    placing,
    ratios,
    recurrence,
    rolling,
    scaling,
    sums,
)

Progress = Callable[[str, int, int], None]
_SHARE = 0.5
_MOVING = (moving.moving_sum, moving.moving_std)
_PAIRS = (rolling.rolling_cov, rolling.rolling_corr)
_SINGLES = (
    rolling.rolling_sum,
    rolling.rolling_mean,
    rolling.rolling_var,
    rolling.rolling_std,
    rolling.rolling_skew,
    rolling.rolling_kurt,
    rolling.rolling_mad,
    rolling.rolling_max,
    rolling.rolling_min,
    rolling.rolling_argmax,
    rolling.rolling_argmin,
    rolling.rolling_count,
    rolling.rolling_rank,
    rolling.rolling_slope,
    rolling.rolling_rsquare,
    rolling.rolling_resi,
    rolling.rolling_wma,
    rolling.ewm_mean,
)


def compile_kernels(progress: Progress, *, processes: int = 1) -> None:
    """Call every kernel on two rows, telling `progress(name, done, all)` before each; later processes load them.

    Where the first one was not compiled before, several processes compile the others: LLVM keeps one core busy.
    """
    calls = _calls()
    if processes > 1:
        calls[0][1]()
        if not moments.trends.stats.cache_hits:
            _compile_aside(progress, [name for name, _ in calls], processes)
    for done, (name, call) in enumerate(calls):
        progress(name, done, len(calls))
        call()
    progress("done", len(calls), len(calls))


def _compile_aside(progress: Progress, names: Sequence[str], processes: int) -> None:
    """Fill the cache on disk, which every kernel has for itself."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for done, name in enumerate(pool.map(_compile_one, range(len(names)))):
            progress(name, done, len(names))


def _compile_one(place: int) -> str:
    name, call = _calls()[place]
    call()
    return name


def _calls() -> list[tuple[str, Callable[[], None]]]:
    return [*_nested(), *_rolling(), *_recurrent()]


def _nested() -> list[tuple[str, Callable[[], None]]]:
    x, bars = np.ones(2, np.float32), np.ones((6, 2), np.float32)
    spans = np.array([[0, 0, 2, 0]], np.int64)
    out, places, wide = np.empty((25, 2), np.float32), np.empty((5, 2), np.float32), np.ones(2)
    return [
        ("trends", lambda: moments.trends(x, spans, out)),
        ("scaled spreads", lambda: moments.scaled_spreads(x, x, spans, out)),
        ("relative spreads", lambda: moments.relative_spreads(x, spans, out)),
        ("correlations", lambda: correlation.correlations(x, x, spans, out)),
        ("ranges", lambda: extremes.ranges(x, x, x, spans, out, places)),
        ("ages", lambda: extremes.ages(x, x, spans, out)),
        ("quantiles", lambda: order.quantiles(x, x, spans, out)),
        ("ranks", lambda: order.ranks(x, spans, out)),
        ("shares by size", lambda: sums.shares_by_size(x, spans, out)),
        ("shares by number", lambda: sums.shares_by_number(x, spans, out)),
        ("candles", lambda: ratios.candles(bars, spans, out)),
        ("references", lambda: ratios.references(x, spans, out)),
        ("place_columns", lambda: placing.place_columns(bars, np.array([1, 0]), np.array([0, 1]), bars.copy())),
        ("place_rows", lambda: placing.place_rows(bars, np.array([1, 0]), np.array([0, 1]), 0, bars.T.copy())),
        ("column_sums", lambda: scaling.column_sums(bars, np.array([0]), wide, np.array([0, 0]), wide, wide.copy())),
        ("scale_rows", lambda: scaling.scale_rows(bars, x, x, x[:1], x[:1])),
    ]


def _rolling() -> list[tuple[str, Callable[[], None]]]:
    x, offsets, out = np.ones(2), np.array([0, 2], np.int64), np.empty(2)
    one = [(each.__name__, lambda kernel=each: kernel(x, offsets, 2, out)) for each in _SINGLES]
    two = [(each.__name__, lambda kernel=each: kernel(x, x, offsets, 2, out)) for each in _PAIRS]
    full = [(each.__name__, lambda kernel=each: kernel(x, 2, out)) for each in _MOVING]
    wide, order = np.ones((1, 2)), np.array([[0, 1]], np.int64)
    across = [
        ("average_ranks", lambda: cross_section.average_ranks(wide, order, wide.copy())),
        ("row_correlations", lambda: cross_section.row_correlations(wide, wide, 2, out)),
    ]
    return [
        *one,
        *two,
        *full,
        *across,
        ("squeeze", lambda: moving.squeeze(wide.copy(), np.empty(2, np.int64), np.empty(3, np.int64))),
        ("put", lambda: moving.put(x, np.array([0, 1]), offsets, out)),
        ("rolling_quantile", lambda: rolling.rolling_quantile(x, offsets, 2, _SHARE, out)),
    ]


def _recurrent() -> list[tuple[str, Callable[[], None]]]:
    gates, cells, inputs = (
        np.ones((1, 2, 4), np.float32),
        np.ones((2, 2, 1), np.float32),
        np.ones((2, 2, 2), np.float32),
    )
    by_cell, by_inputs = np.ones((2, 1), np.float32), np.ones((2, 2), np.float32)
    return [
        ("step", lambda: recurrence.step(gates, cells, inputs, 0, 2)),
        ("step_back", lambda: recurrence.step_back(gates, cells, by_cell, by_inputs, 0)),
    ]
