"""Highest and lowest values over the nested windows, and where they stand."""

import numpy as np

from quant_pipelines.kernels.compiled import Counts, Doubles, Rows, Singles, kernel, part
from quant_pipelines.kernels.tile import (
    LONGEST,
    PADDED,
    ROWS_MASK,
    TILE,
    WINDOWS,
    count_valid,
    load,
    store,
    tiles,
)

LEVELS = len(WINDOWS) + 1
EPSILON = 1e-12
BEST, LAG = 0, TILE


@part
def window_maxima(levels: Singles, n: int) -> None:
    """Maxima of the windows by joining shorter ones, 5 -> 10 -> 20 -> 30 -> 60; level 0 holds the values.

    60 is 30 and the 30 before it, 30 is 20 and the 10 before it: two look-ups a window, however long it is.
    """
    rows = LONGEST + n
    for j in range(4, rows):
        newest = max(levels[j], levels[j - 1], levels[j - 2], levels[j - 3])
        levels[PADDED + j] = max(newest, levels[j - 4])
    for j in range(9, rows):
        levels[2 * PADDED + j] = max(levels[PADDED + j], levels[PADDED + j - 5])
    for j in range(19, rows):
        levels[3 * PADDED + j] = max(levels[2 * PADDED + j], levels[2 * PADDED + j - 10])
    for j in range(29, rows):
        levels[4 * PADDED + j] = max(levels[3 * PADDED + j], levels[2 * PADDED + j - 20])
    for j in range(59, rows):
        levels[5 * PADDED + j] = max(levels[4 * PADDED + j], levels[4 * PADDED + j - 30])


@part
def raise_best(x: Singles, best: Singles, n: int, lag: int) -> None:
    """Try five older lags: `best` holds the highest value and its lag; of equal ones the oldest stays."""
    n &= ROWS_MASK
    x = x[LONGEST - lag - 4 :]
    for t in range(n):
        top, place = best[t + BEST], best[t + LAG]
        for older in range(5):
            value = x[t + 4 - older]
            place = np.float32(lag + older) if value >= top else place
            top = value if value >= top else top
        best[t + BEST] = top
        best[t + LAG] = place


@part
def positions(best: Singles, counts: Counts, n: int, window: int, age: int, made: Doubles) -> None:
    """1 for the oldest session of the window, counted from the start of history where the window is longer."""
    n &= ROWS_MASK
    upto, before = counts[LONGEST + 1 :], counts[LONGEST + 1 - window :]
    for t in range(n):
        length = min(age + t, window)
        made[t] = float(length) - best[t + LAG] if upto[t] > before[t] else np.nan


@part
def without_gaps(x: Doubles, n: int, sign: float, filled: Singles) -> None:
    """sign * x with -infinity for a missing value, so that it never wins."""
    for j in range(LONGEST + n):
        filled[j] = -np.inf if np.isnan(x[j]) else sign * x[j]


@part
def range_of(highs: Singles, lows: Singles, close: Doubles, n: int, made: Doubles) -> None:
    """Highest / close, lowest / close and the close's place between them; `lows` come with their sign turned."""
    n &= ROWS_MASK
    close = close[LONGEST:]
    for t in range(n):
        inverse = 1.0 / close[t]
        high = np.nan if highs[t] == -np.inf else np.float64(highs[t])
        low = np.nan if lows[t] == -np.inf else -np.float64(lows[t])
        made[t] = high * inverse
        made[t + TILE] = low * inverse
        made[t + 2 * TILE] = (close[t] - low) / (high - low + EPSILON)


@kernel
def ranges(high: Singles, low: Singles, close: Singles, spans: Rows, out: Singles, places: Singles) -> None:
    """Max/close, Min/close (10 rows of `out`) and the close's place between them (5 rows of `places`)."""
    x, c, made = np.empty(PADDED), np.empty(PADDED), np.empty(3 * TILE)
    highs, lows = np.empty(LEVELS * PADDED, np.float32), np.empty(LEVELS * PADDED, np.float32)
    for start, at, n, to in tiles(spans):
        load(high, start, at, n, x)
        without_gaps(x, n, 1.0, highs)
        load(low, start, at, n, x)
        without_gaps(x, n, -1.0, lows)
        window_maxima(highs, n)
        window_maxima(lows, n)
        load(close, start, at, n, c)
        for w in range(len(WINDOWS)):
            level = (w + 1) * PADDED + LONGEST
            range_of(highs[level:], lows[level:], c, n, made)
            store(made, n, out[w, to : to + n])
            store(made[TILE:], n, out[len(WINDOWS) + w, to : to + n])
            store(made[2 * TILE :], n, places[w, to : to + n])


@part
def shares(highest: Doubles, lowest: Doubles, n: int, window: int, made: Doubles) -> None:
    """The two positions and their difference as parts of the window."""
    n &= ROWS_MASK
    for t in range(n):
        made[t] = highest[t] / window
        made[t + TILE] = lowest[t] / window
        made[t + 2 * TILE] = (highest[t] - lowest[t]) / window


@kernel
def ages(high: Singles, low: Singles, spans: Rows, out: Singles) -> None:
    """IdxMax(high, w)/w, IdxMin(low, w)/w and their difference: 15 rows of `out`, statistic by statistic."""
    x, highest, lowest, made = np.empty(PADDED), np.empty(TILE), np.empty(TILE), np.empty(3 * TILE)
    highs, lows = np.empty(PADDED, np.float32), np.empty(PADDED, np.float32)
    top, bottom = np.empty(2 * TILE, np.float32), np.empty(2 * TILE, np.float32)
    high_counts, low_counts = np.empty(PADDED + 1, np.int32), np.empty(PADDED + 1, np.int32)
    for start, at, n, to in tiles(spans):
        load(high, start, at, n, x)
        count_valid(x, n, high_counts)
        without_gaps(x, n, 1.0, highs)
        load(low, start, at, n, x)
        count_valid(x, n, low_counts)
        without_gaps(x, n, -1.0, lows)
        top[:] = -np.inf
        bottom[:] = -np.inf
        lag = 0
        for w in range(len(WINDOWS)):
            while lag < WINDOWS[w]:
                raise_best(highs, top, n, lag)
                raise_best(lows, bottom, n, lag)
                lag += 5
            positions(top, high_counts, n, WINDOWS[w], at - start + 1, highest)
            positions(bottom, low_counts, n, WINDOWS[w], at - start + 1, lowest)
            shares(highest, lowest, n, WINDOWS[w], made)
            for statistic in range(3):
                store(made[statistic * TILE :], n, out[statistic * len(WINDOWS) + w, to : to + n])
