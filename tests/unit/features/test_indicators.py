"""The indicators: TA-Lib's numbers on the traded sessions, and a second definition of each, written by hand."""

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipelines.features.indicators.catalogue import INDICATORS
from quant_pipelines.features.indicators.engine import IndicatorSettings, IndicatorsRefused, compute
from quant_pipelines.features.panel import BarPanel
from quant_pipelines.features.point_in_time import Sample, find_leaks

USUAL = IndicatorSettings(sessions_per_year=243)


@pytest.fixture(scope="module")
def panel(market):
    return market(99, [320, 60, 1, 150, 14], suspended=0.06, flat=False)


def wide(values, traded):
    out = np.full(traded.size, np.nan)
    out[traded] = values
    return out


def mean(x, window):
    return np.array([x[t + 1 - window : t + 1].mean() if t + 1 >= window else np.nan for t in range(x.size)])


def smooth(x, window, weight):
    """Starts with the mean of the first window of numbers, then moves by `weight` towards each new one."""
    out = np.full(x.size, np.nan)
    first = int(np.argmax(~np.isnan(x))) + window - 1
    if np.isnan(x).all() or first >= x.size:
        return out
    out[first] = x[first + 1 - window : first + 1].mean()
    for t in range(first + 1, x.size):
        out[t] = out[t - 1] + weight * (x[t] - out[t - 1])
    return out


def exponential(x, window):
    return smooth(x, window, 2 / (window + 1))


def macd(close, fast, slow, signal):
    late = close.copy()
    late[: slow - fast] = np.nan  # the fast mean starts so late that both have their first value together
    line = exponential(late, fast) - exponential(close, slow)
    signal_line = exponential(line, signal)
    line[np.isnan(signal_line)] = np.nan
    return line, signal_line, line - signal_line


def moves(close):
    change = np.diff(close, prepend=np.nan)
    return np.where(np.isnan(change), np.nan, np.maximum(change, 0)), np.where(
        np.isnan(change), np.nan, np.maximum(-change, 0)
    )


def rsi(close, window):
    gain, loss = (smooth(each, window, 1 / window) for each in moves(close))
    return 100 * gain / (gain + loss)


def true_range(high, low, close):
    before = np.append(np.nan, close[:-1])
    return np.maximum(high, before) - np.minimum(low, before)


def adx(high, low, close, window):
    up, down = np.diff(high, prepend=np.nan), -np.diff(low, prepend=np.nan)
    plus, minus = np.where((up > down) & (up > 0), up, 0.0), np.where((down > up) & (down > 0), down, 0.0)
    ranges = true_range(high, low, close)
    # Wilder's sums start with one move fewer than the window.
    totals = [plus[1:window].sum(), minus[1:window].sum(), ranges[1:window].sum()]
    index = np.full(close.size, np.nan)
    for t in range(window, close.size):
        totals = [old - old / window + new[t] for old, new in zip(totals, (plus, minus, ranges), strict=True)]
        index[t] = 100 * abs(totals[0] - totals[1]) / (totals[0] + totals[1])
    return smooth(index, window, 1 / window)


def lowest_and_highest(high, low, window):
    rows = range(window - 1, high.size)
    pad = [np.nan] * (window - 1)
    lowest = np.array([*pad, *(low[t + 1 - window : t + 1].min() for t in rows)][: high.size])
    highest = np.array([*pad, *(high[t + 1 - window : t + 1].max() for t in rows)][: high.size])
    return lowest, highest


def stochastic(high, low, close, windows):
    fast, slow_k, slow_d = windows
    lowest, highest = lowest_and_highest(high, low, fast)
    k = mean(100 * (close - lowest) / (highest - lowest), slow_k)
    d = mean(k, slow_d)
    k[np.isnan(d)] = np.nan
    return k, d


def williams(high, low, close, window):
    lowest, highest = lowest_and_highest(high, low, window)
    return -100 * (highest - close) / (highest - lowest)


def cci(high, low, close, window):
    typical = (high + low + close) / 3
    centre = mean(typical, window)
    out = np.full(close.size, np.nan)
    for t in range(window - 1, close.size):
        out[t] = (typical[t] - centre[t]) / (0.015 * np.abs(typical[t + 1 - window : t + 1] - centre[t]).mean())
    return out


def mfi(high, low, close, volume, window):
    typical = (high + low + close) / 3
    flow = typical * volume
    change = np.diff(typical, prepend=np.nan)
    out = np.full(close.size, np.nan)
    for t in range(window, close.size):
        last = slice(t + 1 - window, t + 1)
        up, down = flow[last][change[last] > 0].sum(), flow[last][change[last] < 0].sum()
        out[t] = 100 * up / (up + down)
    return out


def sar(high, low, step=0.02, largest=0.2):
    """Wilder's stop: it follows the extreme of the trend ever faster and never enters the last two sessions."""
    out = np.full(high.size, np.nan)
    if high.size < 2:
        return out
    rising = not (low[0] - low[1] > max(high[1] - high[0], 0))
    stop, extreme, speed = (low[0], high[1], step) if rising else (high[0], low[1], step)
    for t in range(1, high.size):
        previous = max(t - 1, 1)
        floor, ceiling = min(low[t], low[previous]), max(high[t], high[previous])
        if rising and low[t] <= stop:
            rising, out[t] = False, max(extreme, ceiling)
            extreme, speed = low[t], step
            stop = max(out[t] + speed * (extreme - out[t]), ceiling)
            continue
        if not rising and high[t] >= stop:
            rising, out[t] = True, min(extreme, floor)
            extreme, speed = high[t], step
            stop = min(out[t] + speed * (extreme - out[t]), floor)
            continue
        out[t] = stop
        beyond = high[t] > extreme if rising else low[t] < extreme
        if beyond:
            extreme, speed = (high[t] if rising else low[t]), min(speed + step, largest)
        stop = stop + speed * (extreme - stop)
        stop = min(stop, floor) if rising else max(stop, ceiling)
    return out


def by_hand(bars):
    """Every usual column, each from its definition."""
    _opened, high, low, close, volume, vwap = bars
    centre = mean(close, 20)
    width = 2 * np.array([close[t - 19 : t + 1].std() if t >= 19 else np.nan for t in range(close.size)])
    sign = np.sign(np.diff(close, prepend=close[0]))
    sign[0] = 1
    place = np.where(high > low, ((close - low) - (high - close)) / np.where(high > low, high - low, 1), 0)
    returns = np.diff(np.log(close), prepend=np.nan)
    table = {f"sma_{window}": mean(close, window) for window in (5, 10, 20, 60)}
    table |= {f"ema_{window}": exponential(close, window) for window in (12, 26)}
    table |= dict(
        zip(("macd_12_26_9", "macd_signal_12_26_9", "macd_histogram_12_26_9"), macd(close, 12, 26, 9), strict=True)
    )
    table |= {"bollinger_upper_20": centre + width, "bollinger_middle_20": centre, "bollinger_lower_20": centre - width}
    table |= {"sar": sar(high, low), "adx_14": adx(high, low, close, 14), "rsi_14": rsi(close, 14)}
    table |= dict(
        zip(("stochastic_k_14_3_3", "stochastic_d_14_3_3"), stochastic(high, low, close, (14, 3, 3)), strict=True)
    )
    table |= {"williams_r_14": williams(high, low, close, 14)}
    table |= {"cci_14": cci(high, low, close, 14), "cci_20": cci(high, low, close, 20)}
    table |= {
        "roc_10": np.append(np.full(min(10, close.size), np.nan), 100 * (close[10:] / close[:-10] - 1))[: close.size]
    }
    table |= {"vwap_20": mean(vwap * volume, 20) / mean(volume, 20)}
    table |= {"obv": np.cumsum(sign * volume), "accumulation": np.cumsum(place * volume)}
    table |= {"mfi_14": mfi(high, low, close, volume, 14)}
    table |= {"atr_14": smooth(true_range(high, low, close), 14, 1 / 14)}
    spread = [returns[t - 19 : t + 1].std(ddof=1) if t >= 20 else np.nan for t in range(close.size)]
    return table | {"historical_volatility_20": np.array(spread) * np.sqrt(243)}


@pytest.mark.parametrize("symbol", range(5))
def test_every_column_agrees_with_its_definition_by_hand(symbol, panel):
    """S1-82, S2-08, S2-09, S2-10, S2-11, S2-71: trend, momentum, volume and volatility indicators."""
    begin, end = panel.offsets[symbol : symbol + 2]
    bars = panel.values[:, begin:end].astype(np.float64)
    traded = ~np.isnan(bars).any(axis=0)
    expected = by_hand(bars[:, traded])
    ours = dict(zip(USUAL.names(), compute(panel, USUAL)[:, begin:end], strict=True))
    assert ours.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(ours[name], wide(values, traded), rtol=1e-6, atol=1e-6, err_msg=name)


def test_sessions_without_a_bar_change_nothing_but_their_own_row(panel):
    """An interior NaN given to TA-Lib itself would poison the average to the end: the control."""
    traded = ~np.isnan(panel.values).any(axis=0)
    begin, end = panel.offsets[:2]
    close = panel.field("close")[begin:end].astype(np.float64)
    ours = dict(zip(USUAL.names(), compute(panel, USUAL)[:, begin:end], strict=True))
    kept = traded[begin:end]
    np.testing.assert_array_equal(ours["rsi_14"][kept], talib.RSI(close[kept], 14))
    np.testing.assert_array_equal(ours["macd_12_26_9"][kept], talib.MACD(close[kept])[0])
    assert np.isnan(compute(panel, USUAL)[:, ~traded]).all()
    assert np.isnan(talib.EMA(close, 12)[-1])
    assert not np.isnan(ours["ema_12"][kept][-1])


def test_several_windows_come_at_once():
    """S1-83."""
    several = IndicatorSettings(sessions_per_year=243, windows={"rsi": ((6,), (12,), (24,)), "macd": ((5, 35, 5),)})
    assert {"rsi_6", "rsi_12", "rsi_24", "macd_5_35_5", "atr_14"} <= set(several.names())
    assert "rsi_14" not in several.names()


@pytest.mark.parametrize(
    ("windows", "reason"),
    [
        ({"rsii": ((6,),)}, "no indicator"),
        ({"rsi": ((6, 7),)}, "takes 1"),
        ({"rsi": ((0,),)}, "does not fit"),
        ({"sar": ((5,),)}, "takes 0"),
    ],
)
def test_settings_that_name_nothing_are_refused(windows, reason):
    with pytest.raises(IndicatorsRefused, match=reason):
        IndicatorSettings(sessions_per_year=243, windows=windows)
    assert IndicatorSettings(sessions_per_year=243, windows={"rsi": ((6,),)}).names()


def test_a_year_without_sessions_is_refused():
    with pytest.raises(IndicatorsRefused, match="sessions_per_year"):
        IndicatorSettings(sessions_per_year=0)


def test_every_indicator_has_a_row_with_a_sentence_and_known_inputs():
    assert len({each.name for each in INDICATORS}) == len(INDICATORS)
    assert len(set(USUAL.names())) == len(USUAL.names())
    assert all(each.sentence.endswith(".") and each.inputs for each in INDICATORS)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), lengths=st.lists(st.integers(1, 90), min_size=1, max_size=3))
def test_the_past_does_not_change_when_the_future_arrives(market, seed, lengths):
    panel = market(seed, [*lengths, 90], suspended=0.1)
    sample, cuts = Sample(symbols=4, cuts=3, seed=seed).of(panel)
    leaks = find_leaks(lambda each: compute(each, USUAL), sample, compute(sample, USUAL), USUAL.names(), cuts)
    assert list(leaks) == []


def flat(price, volume, rows=80):
    values = np.full((6, rows), price)
    values[4] = volume
    sessions = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-01-01") + rows).astype("datetime64[us]")
    return BarPanel(values, np.array([0, rows]), ("ONE",), sessions)


@pytest.mark.parametrize("price", [1e-8, 5.0, 1e12, np.nan])
@pytest.mark.parametrize("volume", [0.0, 1e9])
def test_bad_input_gives_no_infinity_and_no_warning(price, volume):
    assert not np.isinf(compute(flat(price, volume), USUAL)).any()


def test_memory_can_be_reused_and_a_wrong_one_is_refused(panel):
    memory = np.empty((len(USUAL.names()), panel.rows))
    assert compute(panel, USUAL, out=memory) is memory
    with pytest.raises(ValueError, match="C-contiguous"):
        compute(panel, USUAL, out=memory[:-1])
