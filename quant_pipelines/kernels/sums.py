"""Shares of gains and of losses over the nested windows, by size and by number."""

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
    load,
    store,
    tiles,
)

LEVELS = len(WINDOWS) + 1
EPSILON = 1e-12
GAIN, LOSS, DIFFERENCE = 0, TILE, 2 * TILE


@part
def window_sums(levels: Doubles, n: int) -> None:
    """Sums of the windows by joining shorter ones, 5 -> 10 -> 20 -> 30 -> 60; level 0 holds the values."""
    rows = LONGEST + n
    for j in range(4, rows):
        newest = (levels[j] + levels[j - 1]) + (levels[j - 2] + levels[j - 3])
        levels[PADDED + j] = newest + levels[j - 4]
    for j in range(9, rows):
        levels[2 * PADDED + j] = levels[PADDED + j] + levels[PADDED + j - 5]
    for j in range(19, rows):
        levels[3 * PADDED + j] = levels[2 * PADDED + j] + levels[2 * PADDED + j - 10]
    for j in range(29, rows):
        levels[4 * PADDED + j] = levels[3 * PADDED + j] + levels[2 * PADDED + j - 20]
    for j in range(59, rows):
        levels[5 * PADDED + j] = levels[4 * PADDED + j] + levels[4 * PADDED + j - 30]


@part
def split(change: Doubles, n: int, gains: Doubles, losses: Doubles) -> None:
    """A change is a gain or a loss; a missing one is neither."""
    for j in range(LONGEST + n):
        gains[j] = max(known(change[j]), 0.0)
        losses[j] = max(-known(change[j]), 0.0)


@part
def shares_of_move(gains: Doubles, losses: Doubles, counts: Counts, n: int, window: int, made: Doubles) -> None:
    """Gains, losses and their difference over all that moved."""
    n &= ROWS_MASK
    upto, before = counts[LONGEST + 1 :], counts[LONGEST + 1 - window :]
    for t in range(n):
        moved = gains[t] + losses[t] + EPSILON
        inverse = 1.0 / moved if upto[t] > before[t] else np.nan
        made[t + GAIN] = gains[t] * inverse
        made[t + LOSS] = losses[t] * inverse
        made[t + DIFFERENCE] = (gains[t] - losses[t]) * inverse


@kernel
def shares_by_size(changes: Singles, spans: Rows, out: Singles) -> None:
    """Sum of gains, of losses and their difference over the sum of |change| + 1e-12: 15 rows of `out`."""
    change, counts = np.empty(PADDED), np.empty(PADDED + 1, np.int32)
    gains, losses, made = np.empty(LEVELS * PADDED), np.empty(LEVELS * PADDED), np.empty(3 * TILE)
    for start, at, n, to in tiles(spans):
        load(changes, start, at, n, change)
        count_valid(change, n, counts)
        split(change, n, gains, losses)
        window_sums(gains, n)
        window_sums(losses, n)
        for w in range(len(WINDOWS)):
            level = (w + 1) * PADDED + LONGEST
            shares_of_move(gains[level:], losses[level:], counts, n, WINDOWS[w], made)
            for statistic in range(3):
                store(made[statistic * TILE :], n, out[statistic * len(WINDOWS) + w, to : to + n])


@part
def count_signs(change: Doubles, n: int, ups: Counts, downs: Counts) -> None:
    """ups[j], downs[j] = how many of the first j changes are above and below zero."""
    up = np.int32(0)
    down = np.int32(0)
    ups[0] = up
    downs[0] = down
    for j in range(LONGEST + n):
        up += np.int32(1) if change[j] > 0.0 else np.int32(0)
        down += np.int32(1) if change[j] < 0.0 else np.int32(0)
        ups[j + 1] = up
        downs[j + 1] = down


@part
def shares_of_sessions(ups: Counts, downs: Counts, n: int, window: int, age: int, made: Doubles) -> None:
    """Up, down and up minus down as shares of the sessions since listing, suspended ones included."""
    n &= ROWS_MASK
    u1, u0 = ups[LONGEST + 1 :], ups[LONGEST + 1 - window :]
    d1, d0 = downs[LONGEST + 1 :], downs[LONGEST + 1 - window :]
    for t in range(n):
        inverse = 1.0 / float(min(age + t, window))
        up, down = float(u1[t] - u0[t]), float(d1[t] - d0[t])
        made[t + GAIN] = up * inverse
        made[t + LOSS] = down * inverse
        made[t + DIFFERENCE] = (up - down) * inverse


@kernel
def shares_by_number(changes: Singles, spans: Rows, out: Singles) -> None:
    """Mean(change > 0), Mean(change < 0) and their difference: 15 rows of `out`. A missing change is neither."""
    change, made = np.empty(PADDED), np.empty(3 * TILE)
    ups, downs = np.empty(PADDED + 1, np.int32), np.empty(PADDED + 1, np.int32)
    for start, at, n, to in tiles(spans):
        load(changes, start, at, n, change)
        count_signs(change, n, ups, downs)
        for w in range(len(WINDOWS)):
            shares_of_sessions(ups, downs, n, WINDOWS[w], at - start + 1, made)
            for statistic in range(3):
                store(made[statistic * TILE :], n, out[statistic * len(WINDOWS) + w, to : to + n])
