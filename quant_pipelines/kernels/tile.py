"""The geometry of the nested-window kernels: tiles of rows with their look-back in front.

A tile is computed from its own rows and the 60 before them and from nothing else. No sum runs on from tile to
tile, so a value never depends on where the computation began: appending a row gives the bits a full run gives.
Inside a tile the lags are the outer loop and the rows the inner one, which the compiler turns into SIMD; after
lags 4, 9, 19, 29 and 59 the accumulators are the statistics of the five windows.
"""

from collections.abc import Iterator

import numpy as np

from quant_pipelines.kernels.compiled import Counts, Doubles, Rows, Singles, part

WINDOWS = (5, 10, 20, 30, 60)
LONGEST = 60
TILE = 256
PADDED = LONGEST + TILE
# n & ROWS_MASK tells the compiler that a trip count is small and not negative; without it the loops stay scalar.
ROWS_MASK = 511
LARGEST = float(np.finfo(np.float32).max)

# Columns of the spans that every kernel takes, one line per symbol: where its history starts, the first row to
# compute, the end (exclusive), and where the first row stands in the output.
START, FIRST, END, TARGET = 0, 1, 2, 3


@part
def tiles(spans: Rows) -> Iterator[tuple[int, int, int, int]]:
    """(start of history, first row, number of rows, place in the output) of every tile of every symbol."""
    for symbol in range(spans.shape[0]):
        first, end = spans[symbol, FIRST], spans[symbol, END]
        for at in range(first, end, TILE):
            yield spans[symbol, START], at, min(TILE, end - at), spans[symbol, TARGET] + at - first


@part
def load(series: Singles, start: int, at: int, n: int, padded: Doubles) -> None:
    """Rows at-60 .. at+n-1 as float64; NaN before `start` and where a value is not finite."""
    before = min(max(start - (at - LONGEST), 0), LONGEST)
    for j in range(before):
        padded[j] = np.nan
    rows = series[at - LONGEST + before : at + n]
    values = padded[before:]
    for j in range(LONGEST + n - before):
        value = np.float64(rows[j])
        values[j] = value if abs(value) <= LARGEST else np.nan


@part
def count_valid(padded: Doubles, n: int, counts: Counts) -> None:
    """counts[j] = how many of the first j values are numbers."""
    running = np.int32(0)
    counts[0] = running
    for j in range(LONGEST + n):
        if not np.isnan(padded[j]):
            running += np.int32(1)
        counts[j + 1] = running


@part
def last_valid(padded: Doubles, n: int, reference: Doubles) -> None:
    """The latest number at or before each row: subtracted first, it keeps the digits that squares would lose."""
    latest = 0.0
    for j in range(LONGEST):
        if not np.isnan(padded[j]):
            latest = padded[j]
    for t in range(n):
        if not np.isnan(padded[LONGEST + t]):
            latest = padded[LONGEST + t]
        reference[t] = latest


@part
def known(value: float) -> float:
    """The value, or 0 where there is none."""
    return 0.0 if np.isnan(value) else value


@part
def store(made: Doubles, n: int, row: Singles) -> None:
    """float64 to float32: an infinity becomes NaN and -0 becomes 0, so equal values have equal bits."""
    n &= ROWS_MASK
    for t in range(n):
        value = np.float32(made[t])
        row[t] = value + np.float32(0.0) if abs(value) <= np.float32(LARGEST) else np.float32(np.nan)
