"""Whether a signal could be filled at the next open."""

import pytest

from quant_pipelines.calendars import calendar_named
from quant_pipelines.labels import LABEL_SETS, label_rows

A = "600001.SH"
DIRECTION = [LABEL_SETS["direction3"]]


def fills(table):
    return [(row["buyable"], row["sellable"], row["untradable"]) for row in table.to_pylist()]


@pytest.fixture
def after(prices_of, venue_of, sessions):
    """What one can do after a close of 10.00, given the next session."""

    def at(open_, close=10.0, *, symbol=A, reference=10.0, **venue):
        opens, references = {symbol: [10.0, open_]}, {symbol: [10.0, reference]}
        prices = prices_of({symbol: [10.0, close]}, opens=opens, references=references)
        return fills(label_rows(prices, DIRECTION, venue_of(**venue), through=sessions[5]))[0]

    return at


@pytest.mark.parametrize(
    ("open_", "expected"),
    [
        (10.99, (True, True, None)),
        (11.0, (False, True, "limit_up")),
        (9.01, (True, True, None)),
        (9.0, (True, False, "limit_down")),
    ],
)
def test_a_limit_open_closes_one_side(after, open_, expected):
    assert after(open_) == expected


def test_the_close_of_the_day_decides_nothing(after):
    """Opened below the limit and closed at it: the morning's order was filled. The other way round it was not."""
    assert after(10.5, close=11.0) == (True, True, None)
    assert after(11.0, close=10.5) == (False, True, "limit_up")


def test_the_reference_is_the_exchange_s_not_yesterday_s_close(after):
    """Ex dividend at 9.00 the upper limit is 9.90."""
    assert after(9.9, reference=9.0) == (False, True, "limit_up")
    assert after(9.9, reference=10.0) == (True, True, None)


def test_the_band_is_the_board_s(after):
    assert after(11.0, symbol="300003.SZ") == (True, True, None)
    assert after(12.0, symbol="300003.SZ") == (False, True, "limit_up")


@pytest.mark.parametrize(("state", "reason"), [("S", "suspended"), ("Q", "quarantined")])
def test_without_a_next_open_nothing_can_be_done(prices_of, venue_of, sessions, state, reason):
    rows = label_rows(prices_of({A: [10.0, state]}), DIRECTION, venue_of(), through=sessions[5])
    assert fills(rows) == [(False, False, reason)]
    assert rows["absent"].to_pylist() == [reason]


def test_a_missing_row_and_a_delisting_differ(prices_of, venue_of, sessions):
    other = {"000002.SZ": [10.0, 10.0, 10.0]}
    gap = label_rows(prices_of({A: [10.0, None, 10.0]} | other), DIRECTION, venue_of(), through=sessions[5])
    gone = label_rows(
        prices_of({A: [10.0]} | other), DIRECTION, venue_of({A: sessions[0]}), through=sessions[5]
    )  # fmt: skip
    for table, reason in ((gap, "no_bar"), (gone, "delisted")):
        row = next(row for row in table.to_pylist() if row["symbol"] == A)
        assert (row["buyable"], row["sellable"], row["untradable"], row["absent"]) == (False, False, reason, reason)


def test_what_is_not_known_is_null_and_not_guessed(after):
    assert after(None) == (None, None, "no_open")
    assert after(11.0, reference=None) == (None, None, "limit_unknown")
    assert after(11.0, raw=False) == (None, None, "limit_unknown")
    assert after(11.0, symbol="AAPL") == (None, None, "limit_unknown")


def test_a_first_session_without_limits_is_free_on_both_sides(after, sessions):
    assert after(44.0, listed={A: sessions[0]}) == (True, True, None)
    assert after(44.0) == (False, True, "limit_up")  # control: listed long ago


def test_a_market_without_limits_has_none(prices_of, venue_of, sessions):
    """Vendor-adjusted prices hide no limit where there is none."""
    venue = venue_of(rules="crypto", calendar=calendar_named("24/7"), raw=False)
    rows = label_rows(prices_of({"BTC": [10.0, 50.0]}), DIRECTION, venue, through=sessions[5])
    assert fills(rows) == [(True, True, None)]
