"""Statistics over windows of any length, each from the window's own values in two passes.

Slower than the nested windows, and simple: a window is copied out, without its missing values, and measured. A
window is cut at the symbol's first row; with no value in it the result is NaN. `offsets` divides the rows among
symbols. Every function fills `out`.
"""

from collections.abc import Iterator

import numpy as np

from quant_pipelines.kernels.compiled import Doubles, Rows, kernel, part

# pyqlib: no R squared and no correlation where a standard deviation is within this of 0.
SMALLEST_STD = 2e-5
# Fewer values than this have no spread, no skewness, no kurtosis.
PAIR, TRIPLE, FOUR = 2, 3, 4


@part
def windows(
    series: Doubles, offsets: Rows, length: int, values: Doubles, places: Doubles
) -> Iterator[tuple[int, int, int]]:
    """(row, first row of its window, number of values) with the values and their places 1, 2, ... filled in.

    Places count sessions and the current one stands at `length`, also where history is shorter.
    """
    for symbol in range(offsets.shape[0] - 1):
        begin = offsets[symbol]
        for row in range(begin, offsets[symbol + 1]):
            first = max(begin, row + 1 - length)
            number = 0
            for j in range(first, row + 1):
                if np.isfinite(series[j]):
                    values[number] = series[j]
                    places[number] = length - (row - j)
                    number += 1
            yield row, first, number


@part
def mean_of(values: Doubles, number: int) -> float:
    """The mean; NaN of nothing. Values are taken relative to the last, or digits of large ones would be lost."""
    if number == 0:
        return np.nan
    last = values[number - 1]
    total = 0.0
    for i in range(number):
        total += values[i] - last
    return total / number + last


@part
def moment(values: Doubles, number: int, power: int) -> float:
    """Sum of the deviations from the mean, to a power."""
    mean = mean_of(values, number)
    total = 0.0
    for i in range(number):
        total += (values[i] - mean) ** power
    return total


@part
def variance_of(values: Doubles, number: int) -> float:
    """Sample variance, NaN for fewer than two values."""
    return moment(values, number, 2) / (number - 1) if number > 1 else np.nan


@part
def quantile_of(values: Doubles, number: int, share: float) -> float:
    """Linear between neighbours."""
    if number == 0:
        return np.nan
    ordered = np.sort(values[:number])
    place = share * (number - 1)
    low = int(place)
    fraction = place - low
    return ordered[low] + (ordered[low + 1] - ordered[low]) * fraction if fraction > 0.0 else ordered[low]


@part
def line_of(values: Doubles, places: Doubles, number: int) -> tuple[float, float, float]:
    """Slope, intercept at place 0 and squared correlation of the least-squares line."""
    x_mean, y_mean = mean_of(places, number), mean_of(values, number)
    xx, xy, yy = 0.0, 0.0, 0.0
    for i in range(number):
        dx, dy = places[i] - x_mean, values[i] - y_mean
        xx += dx * dx
        xy += dx * dy
        yy += dy * dy
    slope = xy / xx
    return slope, y_mean - slope * x_mean, xy * xy / (xx * yy)


@kernel
def rolling_sum(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    values, places = np.empty(length), np.empty(length)
    for row, _first, number in windows(series, offsets, length, values, places):
        out[row] = np.sum(values[:number]) if number > 0 else np.nan


@kernel
def rolling_mean(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    values, places = np.empty(length), np.empty(length)
    for row, _first, number in windows(series, offsets, length, values, places):
        out[row] = mean_of(values, number)


@kernel
def rolling_var(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    values, places = np.empty(length), np.empty(length)
    for row, _first, number in windows(series, offsets, length, values, places):
        out[row] = variance_of(values, number)


@kernel
def rolling_std(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    values, places = np.empty(length), np.empty(length)
    for row, _first, number in windows(series, offsets, length, values, places):
        out[row] = np.sqrt(variance_of(values, number))


@kernel
def rolling_skew(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    """Adjusted for bias as in pandas; NaN below three values and where nothing moves."""
    values, places = np.empty(length), np.empty(length)
    for row, _first, number in windows(series, offsets, length, values, places):
        second, third = moment(values, number, 2) / number, moment(values, number, 3) / number
        bias = np.sqrt(number * (number - 1.0)) / (number - 2.0)
        out[row] = bias * third / second**1.5 if number >= TRIPLE and second > 0.0 else np.nan


@kernel
def rolling_kurt(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    """Excess kurtosis adjusted for bias as in pandas; NaN below four values and where nothing moves."""
    values, places = np.empty(length), np.empty(length)
    for row, _first, number in windows(series, offsets, length, values, places):
        n = float(number)
        second, fourth = moment(values, number, 2) / n, moment(values, number, 4) / n
        excess = ((n * n - 1.0) * fourth / second**2 - 3.0 * (n - 1.0) ** 2) / ((n - 2.0) * (n - 3.0))
        out[row] = excess if number >= FOUR and second > 0.0 else np.nan


@kernel
def rolling_mad(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    """Mean absolute deviation from the mean."""
    values, places = np.empty(length), np.empty(length)
    for row, _first, number in windows(series, offsets, length, values, places):
        mean = mean_of(values, number)
        out[row] = np.mean(np.abs(values[:number] - mean)) if number > 0 else np.nan


@kernel
def rolling_max(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    values, places = np.empty(length), np.empty(length)
    for row, _first, number in windows(series, offsets, length, values, places):
        out[row] = np.max(values[:number]) if number > 0 else np.nan


@kernel
def rolling_min(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    values, places = np.empty(length), np.empty(length)
    for row, _first, number in windows(series, offsets, length, values, places):
        out[row] = np.min(values[:number]) if number > 0 else np.nan


@kernel
def rolling_argmax(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    """Sessions from the start of the window to its first highest value, from 1; missing values never win."""
    values, places = np.empty(length), np.empty(length)
    for row, first, number in windows(series, offsets, length, values, places):
        before = length - (row - first) - 1
        out[row] = places[np.argmax(values[:number])] - before if number > 0 else np.nan


@kernel
def rolling_argmin(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    """Like `rolling_argmax`, for the lowest value."""
    values, places = np.empty(length), np.empty(length)
    for row, first, number in windows(series, offsets, length, values, places):
        before = length - (row - first) - 1
        out[row] = places[np.argmin(values[:number])] - before if number > 0 else np.nan


@kernel
def rolling_count(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    values, places = np.empty(length), np.empty(length)
    for row, _first, number in windows(series, offsets, length, values, places):
        out[row] = number


@kernel
def rolling_quantile(series: Doubles, offsets: Rows, length: int, share: float, out: Doubles) -> None:
    values, places = np.empty(length), np.empty(length)
    for row, _first, number in windows(series, offsets, length, values, places):
        out[row] = quantile_of(values, number, share)


@kernel
def rolling_rank(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    """Average rank of the current value among the window's, as a share of their number."""
    values, places = np.empty(length), np.empty(length)
    for row, _first, number in windows(series, offsets, length, values, places):
        now = series[row]
        below, equal = 0.0, 0.0
        for i in range(number):
            below += 1.0 if values[i] < now else 0.0
            equal += 1.0 if values[i] == now else 0.0
        out[row] = (below + 0.5 * (equal + 1.0)) / number if np.isfinite(now) else np.nan


@kernel
def rolling_slope(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    values, places = np.empty(length), np.empty(length)
    for row, _first, number in windows(series, offsets, length, values, places):
        out[row] = line_of(values, places, number)[0] if number > 1 else np.nan


@kernel
def rolling_rsquare(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    values, places = np.empty(length), np.empty(length)
    for row, _first, number in windows(series, offsets, length, values, places):
        still = number < PAIR or np.sqrt(variance_of(values, number)) <= SMALLEST_STD
        out[row] = np.nan if still else line_of(values, places, number)[2]


@kernel
def rolling_resi(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    """The current value's distance from the line."""
    values, places = np.empty(length), np.empty(length)
    for row, _first, number in windows(series, offsets, length, values, places):
        slope, intercept, _square = line_of(values, places, number) if number > 1 else (np.nan, np.nan, np.nan)
        now = series[row] if np.isfinite(series[row]) else np.nan
        out[row] = now - (slope * length + intercept)


@kernel
def rolling_wma(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    """pyqlib's: the mean, over the values there are, of weight times value; weights rise to 1 in sum over sessions."""
    values, places = np.empty(length), np.empty(length)
    for row, first, number in windows(series, offsets, length, values, places):
        sessions = row - first + 1
        before = length - sessions
        total = 0.0
        for i in range(number):
            total += (places[i] - before) * values[i]
        out[row] = total / (0.5 * sessions * (sessions + 1.0)) / number if number > 0 else np.nan


@kernel
def ewm_mean(series: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    """Exponentially weighted mean with span `length` over all history; weights also fade over missing sessions."""
    fade = 1.0 - 2.0 / (length + 1.0)
    for symbol in range(offsets.shape[0] - 1):
        mean, weight = np.nan, 0.0
        for row in range(offsets[symbol], offsets[symbol + 1]):
            weight *= fade
            if np.isfinite(series[row]):
                mean = series[row] if weight == 0.0 else (weight * mean + series[row]) / (weight + 1.0)
                weight += 1.0
            out[row] = mean


@part
def pair_of(x: Doubles, y: Doubles, first: int, row: int, xs: Doubles, ys: Doubles) -> int:
    """The values of a window in which both series have one; their number."""
    number = 0
    for j in range(first, row + 1):
        if np.isfinite(x[j]) and np.isfinite(y[j]):
            xs[number] = x[j]
            ys[number] = y[j]
            number += 1
    return number


@part
def covariance_of(xs: Doubles, ys: Doubles, number: int) -> float:
    """Sum of products of deviations."""
    x_mean, y_mean = mean_of(xs, number), mean_of(ys, number)
    total = 0.0
    for i in range(number):
        total += (xs[i] - x_mean) * (ys[i] - y_mean)
    return total


@kernel
def rolling_cov(x: Doubles, y: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    values, places, xs, ys = np.empty(length), np.empty(length), np.empty(length), np.empty(length)
    for row, first, _number in windows(x, offsets, length, values, places):
        number = pair_of(x, y, first, row, xs, ys)
        out[row] = covariance_of(xs, ys, number) / (number - 1) if number > 1 else np.nan


@kernel
def rolling_corr(x: Doubles, y: Doubles, offsets: Rows, length: int, out: Doubles) -> None:
    """NaN where either series hardly moves, judged on all the values it has."""
    values, places = np.empty(length), np.empty(length)
    xs, ys, own = np.empty(length), np.empty(length), np.empty(length)
    for row, first, x_number in windows(x, offsets, length, values, places):
        number = pair_of(x, y, first, row, xs, ys)
        own_number = pair_of(y, y, first, row, own, own)
        still = min(variance_of(values, x_number), variance_of(own, own_number)) <= SMALLEST_STD * SMALLEST_STD
        spread = np.sqrt(moment(xs, number, 2) * moment(ys, number, 2))
        out[row] = np.nan if still or number < PAIR else covariance_of(xs, ys, number) / spread
