"""Sums and deviations over full windows of a series without gaps: the lag is the outer loop, so rows become SIMD."""

import numpy as np

from quant_pipelines.kernels.compiled import Doubles, Rows, kernel


@kernel
def moving_sum(series: Doubles, window: int, out: Doubles) -> None:
    """The sum of the last `window` values; NaN before there are as many."""
    rows = max(series.shape[0] - window + 1, 0)
    out[: series.shape[0] - rows] = np.nan
    total = out[series.shape[0] - rows :]
    total[:] = 0.0
    for lag in range(window):
        values = series[window - 1 - lag :]
        for t in range(rows):
            total[t] += values[t]


@kernel
def moving_std(series: Doubles, window: int, out: Doubles) -> None:
    """The sample standard deviation of the last `window` values, in two passes; NaN before there are as many."""
    rows = max(series.shape[0] - window + 1, 0)
    mean = np.zeros(rows)
    for lag in range(window):
        values = series[window - 1 - lag :]
        for t in range(rows):
            mean[t] += values[t]
    for t in range(rows):
        mean[t] /= window
    out[: series.shape[0] - rows] = np.nan
    spread = out[series.shape[0] - rows :]
    spread[:] = 0.0
    for lag in range(window):
        values = series[window - 1 - lag :]
        for t in range(rows):
            deviation = values[t] - mean[t]
            spread[t] += deviation * deviation
    for t in range(rows):
        spread[t] = np.sqrt(spread[t] / (window - 1)) if window > 1 else np.nan


@kernel
def squeeze(bars: Doubles, places: Rows, runs: Rows) -> tuple[int, int]:
    """Move the columns of `bars` that have every value to the left, in place; tells how many these are.

    `places` says where each was, `runs` where each stretch of neighbours begins in them; the second number tells how
    many stretches there are, and after the last comes the number of places.
    """
    kept = stretches = 0
    for column in range(bars.shape[1]):
        whole = True
        for field in range(bars.shape[0]):
            whole &= not np.isnan(bars[field, column])
        if not whole:
            continue
        if kept == 0 or places[kept - 1] != column - 1:
            runs[stretches] = kept
            stretches += 1
        for field in range(bars.shape[0]):
            bars[field, kept] = bars[field, column]
        places[kept] = column
        kept += 1
    runs[stretches] = kept
    return kept, stretches


@kernel
def put(values: Doubles, places: Rows, runs: Rows, out: Doubles) -> None:
    """out[places] = values with NaN for an infinity, and NaN in all other places.

    `places` rise; `runs` says where each stretch of neighbours begins in them, and ends with their number.
    """
    filled = 0
    for run in range(runs.shape[0] - 1):
        first, number = runs[run], runs[run + 1] - runs[run]
        place = places[first]
        out[filled:place] = np.nan
        source, target = values[first : first + number], out[place : place + number]
        for i in range(number):
            target[i] = source[i] if np.isfinite(source[i]) else np.nan
        filled = place + number
    out[filled:] = np.nan
