"""Daily price limits, against decimal arithmetic."""

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.calendars import calendar_named
from quant_pipelines.markets.rules import SymbolRule, TradingRules, limit_prices, load_rules

BANDS = tuple(Decimal(text) for text in ("0.05", "0.10", "0.20", "0.30"))
CENT = Decimal("0.01")


def rule(band: Decimal | None, tick: Decimal = CENT) -> SymbolRule:
    lot = Decimal(100)
    return SymbolRule(board="any", band=band, tick=tick, lot_minimum=lot, lot_increment=lot, sellable_after_sessions=1)


def slowly(previous_close: Decimal, band: Decimal, tick: Decimal = CENT) -> tuple[float, float]:
    """The exchange's sentence in decimal arithmetic: previous close x (1 -+ band), rounded half up to the tick."""
    down, up = (
        ((previous_close * (1 + sign * band)) / tick).quantize(Decimal(1), rounding=ROUND_HALF_UP) * tick
        for sign in (-1, 1)
    )
    return float(down), float(up)


def test_the_known_example_is_exact_where_binary_floats_are_not():
    down, up = limit_prices([1.25], rule(Decimal("0.10")))
    assert (down[0], up[0]) == (1.13, 1.38)
    assert round(1.25 * 0.9, 2) == 1.12  # control: this is the trap


@given(cents=st.integers(1, 1_000_000), band=st.sampled_from(BANDS))
def test_limits_agree_with_decimal_arithmetic(cents, band):
    down, up = limit_prices(np.array([cents / 100]), rule(band))
    assert (down[0], up[0]) == slowly(Decimal(cents) / 100, band)


@pytest.mark.parametrize("band", BANDS, ids=str)
def test_limits_agree_for_every_price_of_a_coarse_sweep(band):
    """The sweep's step shares no factor with 100, so that every fraction of a cent comes up."""
    cents = np.arange(1, 1_000_001, 37)
    down, up = limit_prices(cents / 100, rule(band))
    expected = np.array([slowly(Decimal(int(each)) / 100, band) for each in cents])
    np.testing.assert_array_equal(np.stack([down, up], axis=1), expected)


@pytest.mark.nightly
@pytest.mark.parametrize("band", BANDS, ids=str)
def test_limits_agree_for_every_price_up_to_ten_thousand(band):
    cents = np.arange(1, 1_000_001)
    down, up = limit_prices(cents / 100, rule(band))
    expected = np.array([slowly(Decimal(int(each)) / 100, band) for each in cents])
    np.testing.assert_array_equal(np.stack([down, up], axis=1), expected)


@given(
    ticks=st.integers(1, 5_000_000), tick=st.sampled_from(["0.001", "0.005", "0.05", "1"]), band=st.sampled_from(BANDS)
)
def test_other_ticks_are_as_exact(ticks, tick, band):
    tick = Decimal(tick)
    previous_close = ticks * tick
    down, up = limit_prices([float(previous_close)], rule(band, tick))
    assert (down[0], up[0]) == pytest.approx(slowly(previous_close, band, tick), abs=1e-12)


@pytest.mark.parametrize("reference", [np.nan, np.inf, -np.inf, 0.0, -3.0, 10.004, 0.001])
def test_an_impossible_reference_has_no_limits(reference):
    """The control stands beside it in the same array."""
    down, up = limit_prices([reference, 10.0], rule(Decimal("0.10")))
    assert np.isnan([down[0], up[0]]).all()
    assert (down[1], up[1]) == (9.0, 11.0)


def test_without_a_band_there_is_no_limit():
    down, up = limit_prices([10.0], rule(None))
    assert np.isnan([down[0], up[0]]).all()


XSHG = calendar_named("XSHG")
SESSIONS = XSHG.sessions(datetime(2020, 8, 14), datetime(2020, 9, 4))
SYMBOLS = ("600001.SH", "000002.SZ", "300003.SZ", "688004.SH", "AAPL", "830005.BJ")


@given(
    listed=st.lists(st.one_of(st.none(), st.sampled_from(SESSIONS)), min_size=len(SYMBOLS), max_size=len(SYMBOLS)),
    cents=st.integers(100, 20_000),
)
def test_a_whole_grid_agrees_with_the_rules_one_by_one(listed, cents):
    """Around 2020-08-24, when ChiNext's band doubled."""
    rules = TradingRules(load_rules("a_share"), XSHG)
    references = np.full((len(SESSIONS), len(SYMBOLS)), cents / 100)
    down, up = rules.limit_grid(SESSIONS, SYMBOLS, references, listed=listed)
    for column, symbol in enumerate(SYMBOLS):
        for row, session in enumerate(SESSIONS):
            found = (down[row, column], up[row, column])
            if symbol == "AAPL":
                assert np.isnan(found).all()
                continue
            one = limit_prices([cents / 100], rules.rule_for(symbol, session, listed[column]))
            np.testing.assert_array_equal(found, (one.down[0], one.up[0]))
