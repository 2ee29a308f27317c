"""Quantiles and ranks over the nested windows."""

import numpy as np

from quant_pipelines.kernels.compiled import Counts, Doubles, Rows, Singles, kernel, part
from quant_pipelines.kernels.tile import LONGEST, PADDED, ROWS_MASK, TILE, WINDOWS, count_valid, load, store, tiles

UPPER, LOWER = 0.8, 0.2
# Places compared for each window: the window rounded up to a full SIMD register.
PLACES = (8, 16, 24, 32, 64)
# A sorted window has -infinity before it and +infinity after it, for the neighbours that `exchange` reads.
SLOTS = max(PLACES) + 2
ABOVE, BELOW = TILE, 2 * TILE


@part
def rank_lags(x: Singles, sums: Singles, n: int, lag: int) -> None:
    """Add five lags: 1 for a smaller value, a half for an equal one."""
    n &= ROWS_MASK
    current = x[LONGEST:]
    x = x[LONGEST - lag - 4 :]
    one, half, nothing = np.float32(1.0), np.float32(0.5), np.float32(0.0)
    for t in range(n):
        now, total = current[t], sums[t]
        for older in range(5):
            value = x[t + 4 - older]
            total += one if value < now else (half if value == now else nothing)
        sums[t] = total


@kernel
def ranks(series: Singles, spans: Rows, out: Singles) -> None:
    """Rank(x, w), the share of the window's values at or below the current one, ties halved: 5 rows of `out`."""
    x, made = np.empty(PADDED), np.empty(TILE)
    values, sums = np.empty(PADDED, np.float32), np.empty(TILE, np.float32)
    counts = np.empty(PADDED + 1, np.int32)
    for start, at, n, to in tiles(spans):
        load(series, start, at, n, x)
        count_valid(x, n, counts)
        values[: LONGEST + n] = x[: LONGEST + n]
        sums[:] = 0.0
        lag = 0
        for w in range(len(WINDOWS)):
            while lag < WINDOWS[w]:
                rank_lags(values, sums, n, lag)
                lag += 5
            for t in range(n):
                number = counts[LONGEST + 1 + t] - counts[LONGEST + 1 + t - WINDOWS[w]]
                rank = (np.float64(sums[t]) + 0.5) / number
                made[t] = np.nan if np.isnan(x[LONGEST + t]) else rank
            store(made, n, out[w, to : to + n])


@part
def exchange(window: Singles, old: float, new: float, places: int, made: Singles) -> None:
    """made = window without `old` and with `new`, both sorted, without a branch.

    From the place of `old` on everything moves down by one; then `new` is the median of its neighbours and itself.
    """
    # Tells the compiler that the trip count is a multiple of eight, and so no scalar rest is needed.
    places &= 0xF8
    for p in range(places):
        left, here, right = window[p], window[p + 1], window[p + 2]
        below = left if left < old else here
        above = here if here < old else right
        upper = above if above < new else new
        made[p + 1] = below if below > upper else upper


@part
def pick(window: Singles, number: int, t: int, picked: Singles) -> None:
    """The values around the two quantiles of a sorted window that holds `number` values."""
    last = max(number - 1, 0)
    upper, lower = int(UPPER * last) + 1, int(LOWER * last) + 1
    picked[t] = window[upper]
    picked[t + ABOVE] = window[upper + 1]
    picked[t + BELOW] = window[lower]
    picked[t + BELOW + ABOVE] = window[lower + 1]


@part
def slide(values: Singles, counts: Counts, n: int, window: int, places: int, picked: Singles) -> None:
    """Keep the window sorted while it moves over the tile. `values` holds +infinity where there is none."""
    even, odd = np.empty(SLOTS, np.float32), np.empty(SLOTS, np.float32)
    even[:] = np.inf
    odd[:] = np.inf
    even[0] = -np.inf
    odd[0] = -np.inf
    nothing = np.float32(np.inf)
    begin = LONGEST - window
    for j in range(begin, LONGEST + n, 2):
        exchange(even, values[j - window] if j - window >= begin else nothing, values[j], places, odd)
        if j >= LONGEST:
            pick(odd, counts[j + 1] - counts[j + 1 - window], j - LONGEST, picked)
        after = j + 1
        exchange(odd, values[after - window] if after - window >= begin else nothing, values[after], places, even)
        if LONGEST <= after < LONGEST + n:
            pick(even, counts[after + 1] - counts[after + 1 - window], after - LONGEST, picked)


@part
def interpolate(picked: Singles, counts: Counts, n: int, window: int, share: float, made: Doubles) -> None:
    """The quantile between two neighbouring values, linear in the number of values."""
    n &= ROWS_MASK
    upto, before = counts[LONGEST + 1 :], counts[LONGEST + 1 - window :]
    for t in range(n):
        number = upto[t] - before[t]
        place = share * float(number - 1)
        part_of_step = place - np.floor(place)
        low, high = np.float64(picked[t]), np.float64(picked[t + ABOVE])
        # Without the test the last place would read infinity * 0.
        value = low + (high - low) * part_of_step if part_of_step > 0.0 else low
        made[t] = value if number > 0 else np.nan


@kernel
def quantiles(series: Singles, scale: Singles, spans: Rows, out: Singles) -> None:
    """Quantile(x, w, 0.8) / scale and Quantile(x, w, 0.2) / scale: 10 rows of `out`, the upper ones first."""
    x, made = np.empty(PADDED), np.empty(TILE)
    values, picked = np.empty(PADDED + 1, np.float32), np.empty(4 * TILE, np.float32)
    counts = np.empty(PADDED + 1, np.int32)
    for start, at, n, to in tiles(spans):
        load(series, start, at, n, x)
        count_valid(x, n, counts)
        for j in range(LONGEST + n):
            values[j] = np.inf if np.isnan(x[j]) else x[j]
        values[LONGEST + n] = np.inf
        for w in range(len(WINDOWS)):
            slide(values, counts, n, WINDOWS[w], PLACES[w], picked)
            for quantile in range(2):
                share = UPPER if quantile == 0 else LOWER
                interpolate(picked[quantile * BELOW :], counts, n, WINDOWS[w], share, made)
                for t in range(n):
                    made[t] /= np.float64(scale[at + t])
                store(made, n, out[quantile * len(WINDOWS) + w, to : to + n])
