"""Adjustment as of a cutoff: what somebody standing there would have computed, whatever came later."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.calendars import parse_session
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.prices import adjusted, market_curve

DAYS = [f"2024-06-{day:02d}" for day in range(3, 29)]


def prices(closes, factors, symbol="A"):
    rows = [
        dict.fromkeys(PRICES.names)
        | {
            "session": parse_session(day), "symbol": symbol, "close": close, "factor": factor,
            "volume": 100.0, "suspended": close is None, "quarantined": False,
        }
        for day, close, factor in zip(DAYS, closes, factors, strict=False)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=PRICES.arrow)


def test_a_split_halves_the_prices_before_it_and_doubles_their_volume():
    table = adjusted(prices([10.0, 10.0, 5.0], [1.0, 1.0, 2.0]), cutoff=parse_session(DAYS[2]))
    assert table["close"].to_pylist() == [5.0, 5.0, 5.0]
    assert table["volume"].to_pylist() == [200.0, 200.0, 100.0]


def test_before_the_split_nobody_knows_of_it():
    table = adjusted(prices([10.0, 10.0, 5.0], [1.0, 1.0, 2.0]), cutoff=parse_session(DAYS[1]))
    assert table["close"].to_pylist() == [10.0, 10.0]


def test_a_symbol_without_any_factor_is_as_it_traded():
    table = adjusted(prices([10.0, 11.0], [None, None]), cutoff=parse_session(DAYS[1]))
    assert table["close"].to_pylist() == [10.0, 11.0]


def test_a_suspended_session_stays_without_a_price():
    table = adjusted(prices([10.0, None, 5.0], [1.0, None, 2.0]), cutoff=parse_session(DAYS[2]))
    assert table["close"].to_pylist() == [5.0, None, 5.0]


@given(
    st.lists(st.tuples(st.floats(1, 100), st.floats(0.5, 4.0)), min_size=2, max_size=20),
    st.data(),
)
def test_the_past_does_not_change_when_the_future_arrives(bars, data):
    closes, factors = zip(*bars, strict=True)
    cut = data.draw(st.integers(1, len(bars) - 1))
    cutoff = parse_session(DAYS[cut - 1])
    known = adjusted(prices(closes[:cut], factors[:cut]), cutoff=cutoff)
    assert adjusted(prices(closes, factors), cutoff=cutoff).equals(known)


@given(st.lists(st.tuples(st.floats(1, 100), st.floats(0.5, 4.0)), min_size=2, max_size=20))
def test_returns_do_not_depend_on_the_cutoff_from_which_one_looks(bars):
    closes, factors = zip(*bars, strict=True)
    now = adjusted(prices(closes, factors), cutoff=parse_session(DAYS[len(bars) - 1]))["close"].to_numpy()
    earlier = np.array(closes) * np.array(factors)
    np.testing.assert_allclose(now[1:] / now[:-1], earlier[1:] / earlier[:-1], rtol=1e-12)


def test_the_market_curve_is_the_compounded_mean_of_adjusted_returns():
    both = pa.concat_tables([prices([10.0, 11.0, 5.5], [1.0, 1.0, 2.0]), prices([10.0, 9.0, 9.0], [1.0] * 3, "B")])
    sessions, curve = market_curve(both)
    assert len(sessions) == 3
    assert curve == pytest.approx([1.0, 1.0, 1.0])


def test_the_curve_of_nothing_is_nothing():
    sessions, curve = market_curve(PRICES.arrow.empty_table())
    assert (sessions, curve.tolist()) == ([], [])
