"""Correlation of two series over the nested windows."""

import numpy as np

from quant_pipelines.kernels.compiled import Counts, Doubles, Rows, Singles, kernel, part
from quant_pipelines.kernels.moments import SQUARES, SUM, ZERO_VARIANCE, add_lags
from quant_pipelines.kernels.tile import (
    LONGEST,
    PADDED,
    ROWS_MASK,
    TILE,
    WINDOWS,
    count_valid,
    known,
    last_valid,
    load,
    store,
    tiles,
)

X, XX, Y, YY, XY = 0, TILE, 2 * TILE, 3 * TILE, 4 * TILE


@part
def add_pair_lags(x: Doubles, y: Doubles, rx: Doubles, ry: Doubles, sums: Doubles, n: int, lag: int) -> None:
    """Add five lags to the sums of d, d * d, e, e * e and d * e, with d = x - rx and e = y - ry."""
    n &= ROWS_MASK
    x = x[LONGEST - lag - 4 :]
    y = y[LONGEST - lag - 4 :]
    for t in range(n):
        r, q = rx[t], ry[t]
        d0, d1, d2, d3 = known(x[t + 4] - r), known(x[t + 3] - r), known(x[t + 2] - r), known(x[t + 1] - r)
        e0, e1, e2, e3 = known(y[t + 4] - q), known(y[t + 3] - q), known(y[t + 2] - q), known(y[t + 1] - q)
        d4, e4 = known(x[t] - r), known(y[t] - q)
        sums[t + X] += ((d0 + d1) + (d2 + d3)) + d4
        sums[t + XX] += ((d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)) + d4 * d4
        sums[t + Y] += ((e0 + e1) + (e2 + e3)) + e4
        sums[t + YY] += ((e0 * e0 + e1 * e1) + (e2 * e2 + e3 * e3)) + e4 * e4
        sums[t + XY] += ((d0 * e0 + d1 * e1) + (d2 * e2 + d3 * e3)) + d4 * e4


@part
def correlation(sums: Doubles, counts: Counts, n: int, window: int, made: Doubles) -> None:
    """The correlation of one window from its sums."""
    n &= ROWS_MASK
    upto, before = counts[LONGEST + 1 :], counts[LONGEST + 1 - window :]
    for t in range(n):
        number = float(upto[t] - before[t])
        sx, sy = sums[t + X], sums[t + Y]
        vx = number * sums[t + XX] - sx * sx
        vy = number * sums[t + YY] - sy * sy
        made[t] = (number * sums[t + XY] - sx * sy) / np.sqrt(vx * vy)


@part
def drop_constant(sums: Doubles, counts: Counts, n: int, window: int, made: Doubles) -> None:
    """No correlation where a side hardly moves, judged on all the numbers that side has."""
    n &= ROWS_MASK
    upto, before = counts[LONGEST + 1 :], counts[LONGEST + 1 - window :]
    for t in range(n):
        number = float(upto[t] - before[t])
        spread = number * sums[t + SQUARES] - sums[t + SUM] * sums[t + SUM]
        made[t] = np.nan if spread <= ZERO_VARIANCE * number * (number - 1.0) else made[t]


@part
def pair_up(x: Doubles, y: Doubles, n: int, xs: Doubles, ys: Doubles) -> None:
    """Both series with NaN wherever either has none."""
    for j in range(LONGEST + n):
        xs[j] = np.nan if np.isnan(y[j]) else x[j]
        ys[j] = np.nan if np.isnan(x[j]) else y[j]


@kernel
def correlations(left: Singles, right: Singles, spans: Rows, out: Singles) -> None:
    """Corr(left, right, w): 5 rows of `out`."""
    x, y, xs, ys = np.empty(PADDED), np.empty(PADDED), np.empty(PADDED), np.empty(PADDED)
    own_x, own_y, rx, ry = np.empty(TILE), np.empty(TILE), np.empty(TILE), np.empty(TILE)
    count_x, count_y = np.empty(PADDED + 1, np.int32), np.empty(PADDED + 1, np.int32)
    count_both = np.empty(PADDED + 1, np.int32)
    sums, sums_x, sums_y, made = np.empty(5 * TILE), np.empty(2 * TILE), np.empty(2 * TILE), np.empty(TILE)
    for start, at, n, to in tiles(spans):
        load(left, start, at, n, x)
        load(right, start, at, n, y)
        pair_up(x, y, n, xs, ys)
        count_valid(x, n, count_x)
        count_valid(y, n, count_y)
        count_valid(xs, n, count_both)
        last_valid(x, n, own_x)
        last_valid(y, n, own_y)
        last_valid(xs, n, rx)
        last_valid(ys, n, ry)
        sums[:] = 0.0
        sums_x[:] = 0.0
        sums_y[:] = 0.0
        lag = 0
        for w in range(len(WINDOWS)):
            while lag < WINDOWS[w]:
                add_pair_lags(xs, ys, rx, ry, sums, n, lag)
                add_lags(x, own_x, sums_x, n, lag)
                add_lags(y, own_y, sums_y, n, lag)
                lag += 5
            correlation(sums, count_both, n, WINDOWS[w], made)
            drop_constant(sums_x, count_x, n, WINDOWS[w], made)
            drop_constant(sums_y, count_y, n, WINDOWS[w], made)
            store(made, n, out[w, to : to + n])
