"""Mean, spread and trend over the nested windows."""

import numpy as np

from quant_pipelines.kernels.compiled import Counts, Doubles, Rows, Singles, kernel, part
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

# Accumulators and results stand in one array at fixed distances: LLVM gives up proving that many arrays do not
# overlap, and then computes row by row.
SUM, SQUARES, LAGGED = 0, TILE, 2 * TILE
MEAN, STD, SLOPE, RSQUARE, RESIDUAL = 0, TILE, 2 * TILE, 3 * TILE, 4 * TILE
COUNT, LAGS, LAGS_SQUARED = 0, TILE, 2 * TILE
# A standard deviation within 2e-5 of 0 is 0: pyqlib's rule, absolute, so a price of 1e-5 has no R squared.
ZERO_VARIANCE = 4e-10
EPSILON = 1e-12


@part
def add_lags(x: Doubles, reference: Doubles, sums: Doubles, n: int, lag: int) -> None:
    """Add five lags of every row to its sums of d and d * d, with d = x - reference."""
    n &= ROWS_MASK
    x = x[LONGEST - lag - 4 :]
    for t in range(n):
        r = reference[t]
        d0, d1, d2, d3 = known(x[t + 4] - r), known(x[t + 3] - r), known(x[t + 2] - r), known(x[t + 1] - r)
        d4 = known(x[t] - r)
        sums[t + SUM] += ((d0 + d1) + (d2 + d3)) + d4
        sums[t + SQUARES] += ((d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)) + d4 * d4


@part
def add_lags_in_time(x: Doubles, reference: Doubles, sums: Doubles, n: int, lag: int) -> None:
    """Like `add_lags`, and the sum of lag * d."""
    n &= ROWS_MASK
    x = x[LONGEST - lag - 4 :]
    first = float(lag)
    for t in range(n):
        r = reference[t]
        d0, d1, d2, d3 = known(x[t + 4] - r), known(x[t + 3] - r), known(x[t + 2] - r), known(x[t + 1] - r)
        d4 = known(x[t] - r)
        total = ((d0 + d1) + (d2 + d3)) + d4
        sums[t + SUM] += total
        sums[t + SQUARES] += ((d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)) + d4 * d4
        sums[t + LAGGED] += first * total + ((d1 + 2.0 * d2) + (3.0 * d3 + 4.0 * d4))


@part
def mean_and_std(sums: Doubles, counts: Counts, reference: Doubles, n: int, window: int, made: Doubles) -> None:
    """Mean and sample standard deviation of one window from its sums."""
    n &= ROWS_MASK
    upto, before = counts[LONGEST + 1 :], counts[LONGEST + 1 - window :]
    for t in range(n):
        number = float(upto[t] - before[t])
        s1 = sums[t + SUM]
        spread = max(number * sums[t + SQUARES] - s1 * s1, 0.0)
        made[t + MEAN] = s1 / number + reference[t]
        made[t + STD] = np.sqrt(spread / (number * (number - 1.0)))


@kernel
def scaled_spreads(series: Singles, scale: Singles, spans: Rows, out: Singles) -> None:
    """Mean(x, w) / scale and Std(x, w) / scale: 10 rows of `out`, statistic by statistic; `scale` is finite or NaN."""
    x, reference = np.empty(PADDED), np.empty(TILE)
    counts = np.empty(PADDED + 1, np.int32)
    sums, made = np.empty(2 * TILE), np.empty(2 * TILE)
    for start, at, n, to in tiles(spans):
        load(series, start, at, n, x)
        count_valid(x, n, counts)
        last_valid(x, n, reference)
        sums[:] = 0.0
        lag = 0
        for w in range(len(WINDOWS)):
            while lag < WINDOWS[w]:
                add_lags(x, reference, sums, n, lag)
                lag += 5
            mean_and_std(sums, counts, reference, n, WINDOWS[w], made)
            for t in range(n):
                inverse = 1.0 / np.float64(scale[at + t])
                made[t + MEAN] *= inverse
                made[t + STD] *= inverse
            store(made[MEAN:], n, out[w, to : to + n])
            store(made[STD:], n, out[len(WINDOWS) + w, to : to + n])


@kernel
def relative_spreads(series: Singles, spans: Rows, out: Singles) -> None:
    """Std(x, w) / (Mean(x, w) + 1e-12): 5 rows of `out`."""
    x, reference = np.empty(PADDED), np.empty(TILE)
    counts = np.empty(PADDED + 1, np.int32)
    sums, made = np.empty(2 * TILE), np.empty(2 * TILE)
    for start, at, n, to in tiles(spans):
        load(series, start, at, n, x)
        count_valid(x, n, counts)
        last_valid(x, n, reference)
        sums[:] = 0.0
        lag = 0
        for w in range(len(WINDOWS)):
            while lag < WINDOWS[w]:
                add_lags(x, reference, sums, n, lag)
                lag += 5
            mean_and_std(sums, counts, reference, n, WINDOWS[w], made)
            for t in range(n):
                made[t + STD] /= made[t + MEAN] + EPSILON
            store(made[STD:], n, out[w, to : to + n])


@part
def prefix_lags(x: Doubles, n: int, counts: Counts, firsts: Doubles, seconds: Doubles) -> None:
    """Running sums of 1, j and j * j over the places that hold a number: exact, they are small integers."""
    count_valid(x, n, counts)
    first = 0.0
    second = 0.0
    firsts[0] = 0.0
    seconds[0] = 0.0
    for j in range(LONGEST + n):
        if not np.isnan(x[j]):
            first += j
            second += float(j) * j
        firsts[j + 1] = first
        seconds[j + 1] = second


@part
def window_lags(counts: Counts, firsts: Doubles, seconds: Doubles, n: int, window: int, lags: Doubles) -> None:
    """Number of values, sum of their lags and of their squared lags in the window ending at each row."""
    n &= ROWS_MASK
    c1, c0 = counts[LONGEST + 1 :], counts[LONGEST + 1 - window :]
    p1, p0 = firsts[LONGEST + 1 :], firsts[LONGEST + 1 - window :]
    q1, q0 = seconds[LONGEST + 1 :], seconds[LONGEST + 1 - window :]
    for t in range(n):
        here = float(LONGEST + t)
        number = float(c1[t] - c0[t])
        place = p1[t] - p0[t]
        lags[t + COUNT] = number
        lags[t + LAGS] = here * number - place
        lags[t + LAGS_SQUARED] = here * here * number - 2.0 * here * place + (q1[t] - q0[t])


@part
def trend(sums: Doubles, lags: Doubles, x: Doubles, reference: Doubles, n: int, made: Doubles) -> None:
    """The five statistics of one window from its sums; all but R squared are divided by the current value."""
    n &= ROWS_MASK
    x = x[LONGEST:]
    for t in range(n):
        inverse = 1.0 / x[t]
        number, k1, k2 = lags[t + COUNT], lags[t + LAGS], lags[t + LAGS_SQUARED]
        s1 = sums[t + SUM]
        mean = s1 / number
        spread = max(number * sums[t + SQUARES] - s1 * s1, 0.0)
        variance = spread / (number * (number - 1.0))
        places = number * k2 - k1 * k1
        covariance = k1 * s1 - number * sums[t + LAGGED]
        slope = covariance / places
        made[t + MEAN] = (mean + reference[t]) * inverse
        made[t + STD] = np.sqrt(variance) * inverse
        made[t + SLOPE] = slope * inverse
        made[t + RSQUARE] = np.nan if variance <= ZERO_VARIANCE else covariance * covariance / (places * spread)
        made[t + RESIDUAL] = ((x[t] - reference[t]) - mean - slope * (k1 / number)) * inverse


@kernel
def trends(series: Singles, spans: Rows, out: Singles) -> None:
    """Mean/x, Std/x, Slope/x, Rsquare and Resi/x of a series: 25 rows of `out`, statistic by statistic."""
    x, reference = np.empty(PADDED), np.empty(TILE)
    counts, firsts, seconds = np.empty(PADDED + 1, np.int32), np.empty(PADDED + 1), np.empty(PADDED + 1)
    sums, lags, made = np.empty(3 * TILE), np.empty(3 * TILE), np.empty(5 * TILE)
    for start, at, n, to in tiles(spans):
        load(series, start, at, n, x)
        last_valid(x, n, reference)
        prefix_lags(x, n, counts, firsts, seconds)
        sums[:] = 0.0
        lag = 0
        for w in range(len(WINDOWS)):
            while lag < WINDOWS[w]:
                add_lags_in_time(x, reference, sums, n, lag)
                lag += 5
            window_lags(counts, firsts, seconds, n, WINDOWS[w], lags)
            trend(sums, lags, x, reference, n, made)
            for statistic in range(5):
                store(made[statistic * TILE :], n, out[statistic * len(WINDOWS) + w, to : to + n])
