"""The indicators as data: name, columns, inputs, usual windows, one sentence, and how each is computed.

Conventions are TA-Lib's and differ elsewhere: averages start with the mean of their first window, Bollinger bands
use the population deviation, an RSI or MFI without any movement is 0, and so are stochastics of a window without
range. Historical volatility uses the sample deviation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from quant_pipelines.features.unit import Unit
from quant_pipelines.kernels import moving
from quant_pipelines.kernels.compiled import Doubles

Window = tuple[int, ...]
BAND_WIDTH = 2.0
SAR_STEP, SAR_LARGEST = 0.02, 0.2


@dataclass(frozen=True, slots=True)
class History:
    """One symbol's sessions on which it traded, oldest first."""

    open: Doubles
    high: Doubles
    low: Doubles
    close: Doubles
    volume: Doubles
    vwap: Doubles
    sessions_per_year: float


Compute = Callable[[Any, History, Window], tuple[Doubles, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    """One family of columns; a column is its name and the window's numbers, such as `macd_12_26_9`."""

    name: str
    columns: tuple[str, ...]
    inputs: tuple[str, ...]
    windows: tuple[Window, ...]
    sentence: str
    compute: Compute
    unit: Unit = Unit.NUMBER

    def named(self, window: Window) -> tuple[str, ...]:
        return tuple("_".join([column, *map(str, window)]) for column in self.columns)


def _moving_vwap(_ta: Any, past: History, window: Window) -> tuple[Doubles, ...]:
    """Amount over volume of the window."""
    amount, volume = np.empty(past.close.size), np.empty(past.close.size)
    moving.moving_sum(past.vwap * past.volume, window[0], amount)
    moving.moving_sum(past.volume, window[0], volume)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (amount / volume,)


def _volatility(_ta: Any, past: History, window: Window) -> tuple[Doubles, ...]:
    """A window of returns needs one close more."""
    out = np.full(past.close.size, np.nan)
    moving.moving_std(np.diff(np.log(past.close)), window[0], out[1:])
    return (out * np.sqrt(past.sessions_per_year),)


def _stochastic(ta: Any, past: History, window: Window) -> tuple[Doubles, ...]:
    fast, slow_k, slow_d = window
    return ta.STOCH(past.high, past.low, past.close, fast, slow_k, 0, slow_d, 0)


_HLC = ("high", "low", "close")
INDICATORS = (
    Indicator(
        name="sma",
        columns=("sma",),
        inputs=("close",),
        windows=((5,), (10,), (20,), (60,)),
        sentence="Mean close of the window.",
        compute=lambda ta, past, window: (ta.SMA(past.close, *window),),
        unit=Unit.PRICE,
    ),
    Indicator(
        name="ema",
        columns=("ema",),
        inputs=("close",),
        windows=((12,), (26,)),
        sentence="Exponentially weighted mean close; the weight of a session is 2 / (window + 1).",
        compute=lambda ta, past, window: (ta.EMA(past.close, *window),),
        unit=Unit.PRICE,
    ),
    Indicator(
        name="macd",
        columns=("macd", "macd_signal", "macd_histogram"),
        inputs=("close",),
        windows=((12, 26, 9),),
        sentence="Fast minus slow exponential mean, its own exponential mean, and their difference.",
        compute=lambda ta, past, window: ta.MACD(past.close, *window),
        unit=Unit.PRICE,
    ),
    Indicator(
        name="bollinger",
        columns=("bollinger_upper", "bollinger_middle", "bollinger_lower"),
        inputs=("close",),
        windows=((20,),),
        sentence="Mean close of the window and two population standard deviations above and below it.",
        compute=lambda ta, past, window: ta.BBANDS(past.close, *window, BAND_WIDTH, BAND_WIDTH),
        unit=Unit.PRICE,
    ),
    Indicator(
        name="sar",
        columns=("sar",),
        inputs=("high", "low"),
        windows=((),),
        sentence="Wilder's parabolic stop and reverse, step 0.02 up to 0.2.",
        compute=lambda ta, past, _window: (ta.SAR(past.high, past.low, SAR_STEP, SAR_LARGEST),),
        unit=Unit.PRICE,
    ),
    Indicator(
        name="adx",
        columns=("adx",),
        inputs=_HLC,
        windows=((14,),),
        sentence="Wilder's average directional index: how strong the trend is, 0 to 100.",
        compute=lambda ta, past, window: (ta.ADX(past.high, past.low, past.close, *window),),
    ),
    Indicator(
        name="rsi",
        columns=("rsi",),
        inputs=("close",),
        windows=((14,),),
        sentence="Wilder's relative strength index: smoothed gains over smoothed moves, 0 to 100.",
        compute=lambda ta, past, window: (ta.RSI(past.close, *window),),
    ),
    Indicator(
        name="stochastic",
        columns=("stochastic_k", "stochastic_d"),
        inputs=_HLC,
        windows=((14, 3, 3),),
        sentence="Place of the close in the range of the window, 0 to 100, smoothed once (k) and twice (d).",
        compute=_stochastic,
    ),
    Indicator(
        name="williams_r",
        columns=("williams_r",),
        inputs=_HLC,
        windows=((14,),),
        sentence="Distance of the close from the window's highest high, -100 to 0.",
        compute=lambda ta, past, window: (ta.WILLR(past.high, past.low, past.close, *window),),
    ),
    Indicator(
        name="cci",
        columns=("cci",),
        inputs=_HLC,
        windows=((14,), (20,)),
        sentence="Typical price against its mean, in units of 0.015 mean absolute deviations.",
        compute=lambda ta, past, window: (ta.CCI(past.high, past.low, past.close, *window),),
    ),
    Indicator(
        name="roc",
        columns=("roc",),
        inputs=("close",),
        windows=((10,),),
        sentence="Change of the close over the window, in percent.",
        compute=lambda ta, past, window: (ta.ROC(past.close, *window),),
    ),
    Indicator(
        name="vwap",
        columns=("vwap",),
        inputs=("vwap", "volume"),
        windows=((20,),),
        sentence="Volume-weighted mean price of the window.",
        compute=_moving_vwap,
        unit=Unit.PRICE,
    ),
    Indicator(
        name="obv",
        columns=("obv",),
        inputs=("close", "volume"),
        windows=((),),
        sentence="On-balance volume since listing: volume of rising sessions minus that of falling ones.",
        compute=lambda ta, past, _window: (ta.OBV(past.close, past.volume),),
        unit=Unit.SHARES,
    ),
    Indicator(
        name="accumulation",
        columns=("accumulation",),
        inputs=(*_HLC, "volume"),
        windows=((),),
        sentence="Accumulation/distribution line since listing: volume weighted by the close's place in the range.",
        compute=lambda ta, past, _window: (ta.AD(past.high, past.low, past.close, past.volume),),
        unit=Unit.SHARES,
    ),
    Indicator(
        name="mfi",
        columns=("mfi",),
        inputs=(*_HLC, "volume"),
        windows=((14,),),
        sentence="Money flow index: traded value of sessions with a rising typical price over all, 0 to 100.",
        compute=lambda ta, past, window: (ta.MFI(past.high, past.low, past.close, past.volume, *window),),
    ),
    Indicator(
        name="atr",
        columns=("atr",),
        inputs=_HLC,
        windows=((14,),),
        sentence="Wilder's average true range, in price units.",
        compute=lambda ta, past, window: (ta.ATR(past.high, past.low, past.close, *window),),
        unit=Unit.PRICE,
    ),
    Indicator(
        name="historical_volatility",
        columns=("historical_volatility",),
        inputs=("close",),
        windows=((20,),),
        sentence="Sample standard deviation of the window's log returns, a year's worth.",
        compute=_volatility,
    ),
)
