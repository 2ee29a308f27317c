"""Candles and plain ratios: float32 step by step, as the factors' expressions are defined."""

import numpy as np

from quant_pipelines.kernels.compiled import Rows, Singles, kernel, part
from quant_pipelines.kernels.tile import LARGEST, ROWS_MASK, TILE, WINDOWS, tiles

EPSILON = np.float32(1e-12)
TWO = np.float32(2.0)
NOTHING = np.float32(np.nan)
CANDLES = 13


@part
def finite(value: np.float32) -> np.float32:
    """What `store` does to float64: no infinity, no -0."""
    return value + np.float32(0.0) if abs(value) <= np.float32(LARGEST) else NOTHING


@part
def candle(opens: Singles, highs: Singles, lows: Singles, closes: Singles, n: int, made: Singles) -> None:
    """Body, length and shadows over the open and over the length."""
    n &= ROWS_MASK
    for t in range(n):
        start, high, low, close = opens[t], highs[t], lows[t], closes[t]
        length = high - low + EPSILON
        top = NOTHING if np.isnan(start) else max(close, start)
        bottom = NOTHING if np.isnan(start) else min(close, start)
        made[t] = (close - start) / start
        made[t + TILE] = (high - low) / start
        made[t + 2 * TILE] = (close - start) / length
        made[t + 3 * TILE] = (high - top) / start
        made[t + 4 * TILE] = (high - top) / length
        made[t + 5 * TILE] = (bottom - low) / start
        made[t + 6 * TILE] = (bottom - low) / length
        made[t + 7 * TILE] = (TWO * close - high - low) / start
        made[t + 8 * TILE] = (TWO * close - high - low) / length


@part
def over_close(values: Singles, closes: Singles, n: int, made: Singles) -> None:
    """value / close."""
    n &= ROWS_MASK
    for t in range(n):
        made[t] = values[t] / closes[t]


@kernel
def candles(bars: Singles, spans: Rows, out: Singles) -> None:
    """The nine candle factors and open, high, low, vwap over close: 13 rows of `out`. `bars` as in the panel."""
    made = np.empty(CANDLES * TILE, np.float32)
    for _start, at, n, to in tiles(spans):
        opens, highs, lows, closes = (
            bars[0, at : at + n],
            bars[1, at : at + n],
            bars[2, at : at + n],
            bars[3, at : at + n],
        )
        candle(opens, highs, lows, closes, n, made)
        over_close(opens, closes, n, made[9 * TILE :])
        over_close(highs, closes, n, made[10 * TILE :])
        over_close(lows, closes, n, made[11 * TILE :])
        over_close(bars[5, at : at + n], closes, n, made[12 * TILE :])
        for factor in range(CANDLES):
            row = out[factor, to : to + n]
            for t in range(n):
                row[t] = finite(made[factor * TILE + t])


@kernel
def references(series: Singles, spans: Rows, out: Singles) -> None:
    """Ref(x, w) / x: 5 rows of `out`."""
    for start, at, n, to in tiles(spans):
        for w in range(len(WINDOWS)):
            row = out[w, to : to + n]
            missing = min(max(start + WINDOWS[w] - at, 0), n)
            row[:missing] = NOTHING
            for t in range(missing, n):
                row[t] = finite(series[at + t - WINDOWS[w]] / series[at + t])
