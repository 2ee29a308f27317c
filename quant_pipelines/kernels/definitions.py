"""What the rolling statistics mean, in long double, a window at a time: slow, and the judge of the fast ones.

Each takes the window's values, oldest first, current one last, NaN where there is none.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.kernels.compiled import Doubles, Rows

Window = NDArray[np.longdouble]
Statistic = Callable[..., float]
SMALLEST_STD = 2e-5


def rolling_slowly(statistic: Statistic, length: int, offsets: Rows, *series: Doubles) -> Window:
    """A statistic of the windows of one or more series, cut at each symbol's first row."""
    exact = [np.where(np.isfinite(each), each, np.nan).astype(np.longdouble) for each in series]
    out = np.full(len(series[0]), np.nan, np.longdouble)
    for begin, end in pairwise(offsets.tolist()):
        for row in range(begin, end):
            first = max(begin, row + 1 - length)
            out[row] = statistic(*(each[first : row + 1] for each in exact))
    return out


def known(window: Window) -> Window:
    return window[~np.isnan(window)]


def total(window: Window) -> float:
    return known(window).sum() if known(window).size else np.nan


def mean(window: Window) -> float:
    return known(window).mean() if known(window).size else np.nan


def var(window: Window) -> float:
    return known(window).var(ddof=1) if known(window).size > 1 else np.nan


def std(window: Window) -> float:
    return np.sqrt(var(window))


def mad(window: Window) -> float:
    return np.abs(known(window) - known(window).mean()).mean() if known(window).size else np.nan


def highest(window: Window) -> float:
    return known(window).max() if known(window).size else np.nan


def lowest(window: Window) -> float:
    return known(window).min() if known(window).size else np.nan


def argmax(window: Window) -> float:
    return np.nanargmax(window) + 1.0 if known(window).size else np.nan


def argmin(window: Window) -> float:
    return np.nanargmin(window) + 1.0 if known(window).size else np.nan


def count(window: Window) -> float:
    return float(known(window).size)


def quantile(share: float) -> Statistic:
    def measure(window: Window) -> float:
        ordered = np.sort(known(window))
        if not ordered.size:
            return np.nan
        place = share * (ordered.size - 1)
        low = int(place)
        return ordered[low] + (ordered[min(low + 1, ordered.size - 1)] - ordered[low]) * (place - low)

    return measure


def rank(window: Window) -> float:
    values = known(window)
    below, equal = (values < window[-1]).sum(), (values == window[-1]).sum()
    return np.nan if np.isnan(window[-1]) else (below + (equal + 1) / 2) / values.size


def line(window: Window) -> tuple[float, float, float]:
    """Slope, value of the line at the current session, R squared."""
    places = np.flatnonzero(~np.isnan(window)).astype(np.longdouble)
    values = known(window)
    if values.size < 2:  # noqa: PLR2004 - a line needs two points
        return np.nan, np.nan, np.nan
    dx, dy = places - places.mean(), values - values.mean()
    slope = (dx * dy).sum() / (dx * dx).sum()
    at_end = values.mean() + slope * (window.size - 1 - places.mean())
    still = std(window) <= SMALLEST_STD
    return slope, at_end, np.nan if still else (dx * dy).sum() ** 2 / ((dx * dx).sum() * (dy * dy).sum())


def slope(window: Window) -> float:
    return line(window)[0]


def resi(window: Window) -> float:
    return window[-1] - line(window)[1]


def rsquare(window: Window) -> float:
    return line(window)[2]


def wma(window: Window) -> float:
    weights = np.arange(1, window.size + 1) / (window.size * (window.size + 1) / 2)
    return mean(weights * window)


def cov(x: Window, y: Window) -> float:
    both = ~np.isnan(x) & ~np.isnan(y)
    dx, dy = x[both] - x[both].mean() if both.any() else x[both], y[both] - y[both].mean() if both.any() else y[both]
    return (dx * dy).sum() / (both.sum() - 1) if both.sum() > 1 else np.nan


def corr(x: Window, y: Window) -> float:
    both = np.where(np.isnan(x) | np.isnan(y), np.nan, 1)
    spread = std(x * both) * std(y * both)
    still = std(x) <= SMALLEST_STD or std(y) <= SMALLEST_STD
    return np.nan if still or not spread > 0 else cov(x, y) / spread
