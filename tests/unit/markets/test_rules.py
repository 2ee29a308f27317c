"""Trading rules are dated data: what the packaged books say, and what a broken book is told."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.calendars import calendar_named
from quant_pipelines.documents import BadDocument
from quant_pipelines.markets.rules import (
    Side,
    TradingRules,
    UnknownBoard,
    UnknownRules,
    load_rules,
    packaged_rules,
    read_rules,
    trading_costs,
)

XSHG = calendar_named("XSHG")
A_SHARE = TradingRules(load_rules("a_share"), XSHG)


@pytest.mark.parametrize("name", packaged_rules())
def test_every_packaged_book_is_sound(name):
    book = load_rules(name)
    assert book.name == name
    assert book.description
    for board in book.boards:
        for day in (date(1990, 12, 19), date(2020, 8, 24), date(2100, 1, 1)):
            assert book.limit_on(board.name, day).holds_on(day)


def test_the_three_books_ship():
    assert packaged_rules() == ("a_share", "crypto", "us_equity")


@pytest.mark.parametrize(
    ("symbol", "session", "is_st", "band"),
    [
        ("600000.SH", "2024-06-03", False, "0.10"),
        ("000001.SZ", "2024-06-03", False, "0.10"),
        ("002594.SZ", "2024-06-03", False, "0.10"),
        ("600000.SH", "2024-06-03", True, "0.05"),
        ("600000.SH", "2026-07-03", True, "0.05"),
        ("600000.SH", "2026-07-06", True, "0.10"),
        ("300750.SZ", "2020-08-21", False, "0.10"),
        ("300750.SZ", "2020-08-24", False, "0.20"),
        ("300750.SZ", "2024-06-03", True, "0.20"),
        ("688981.SH", "2024-06-03", False, "0.20"),
        ("688981.SH", "2024-06-03", True, "0.20"),
        ("830799.BJ", "2024-06-03", False, "0.30"),
    ],
)
def test_the_band_follows_board_status_and_date(symbol, session, is_st, band):
    assert A_SHARE.rule_for(symbol, datetime.fromisoformat(session), is_st=is_st).band == Decimal(band)


@pytest.mark.parametrize(
    ("symbol", "listed", "free"),
    [
        ("600001.SH", "2024-06-03", 5),
        ("300001.SZ", "2024-06-03", 5),
        ("688001.SH", "2024-06-03", 5),
        ("830001.BJ", "2024-06-03", 1),
        ("600001.SH", "2023-04-07", 1),
        ("600001.SH", "2023-04-10", 5),
        ("300001.SZ", "2020-08-21", 1),
    ],
)
def test_a_new_listing_is_free_for_its_first_sessions(symbol, listed, free):
    """Sessions, not days: a long holiday in between does not use them up."""
    listed = datetime.fromisoformat(listed)
    sessions = XSHG.sessions(listed, listed + timedelta(days=40))
    bands = [A_SHARE.rule_for(symbol, session, listed).band for session in sessions]
    assert bands[:free] == [None] * free
    assert None not in bands[free:]


def test_free_sessions_outlast_the_longest_holiday():
    listed = XSHG.sessions(datetime(2024, 2, 1), datetime(2024, 2, 8))[-1]
    following = XSHG.sessions(listed, listed + timedelta(days=30))
    assert following[1] - listed > timedelta(days=7)
    bands = [A_SHARE.rule_for("688001.SH", session, listed).band for session in following]
    assert bands[:6] == [None] * 5 + [Decimal("0.20")]


def test_lots_and_settlement_by_board():
    rule = A_SHARE.rule_for("600001.SH", datetime(2024, 6, 3))
    assert (rule.board, rule.tick, rule.lot_minimum, rule.lot_increment) == ("main", Decimal("0.01"), 100, 100)
    assert rule.sellable_after_sessions == 1
    assert A_SHARE.rule_for("688001.SH", datetime(2024, 6, 3)).lot_minimum == 200
    crypto = TradingRules(load_rules("crypto"), calendar_named("24/7")).rule_for("BTC", datetime(2024, 6, 1))
    assert (crypto.band, crypto.sellable_after_sessions) == (None, 0)


@pytest.mark.parametrize("symbol", ["AAPL", "600001", "600001.SZ", "700001.SH", "6000011.SH", ""])
def test_a_symbol_of_no_board_is_refused(symbol):
    with pytest.raises(UnknownBoard, match="fits none of its boards in the rules a_share"):
        A_SHARE.rule_for(symbol, datetime(2024, 6, 3))
    assert A_SHARE.rule_for("600001.SH", datetime(2024, 6, 3)).board == "main"


def test_unknown_rules_name_the_nearest():
    with pytest.raises(UnknownRules, match="did you mean 'a_share'"):
        load_rules("a_shares")


@pytest.mark.parametrize(
    ("day", "rate"), [("2023-08-25", 0.001), ("2023-08-27", 0.001), ("2023-08-28", 0.0005), ("2026-01-05", 0.0005)]
)
def test_stamp_duty_is_dated_and_on_sales_only(day, rate):
    book, day = load_rules("a_share"), date.fromisoformat(day)
    sold = trading_costs(book, day, [10_000.0], Side.SELL)
    assert sold.sell_tax[0] == pytest.approx(10_000 * rate)
    assert trading_costs(book, day, [10_000.0], Side.BUY).sell_tax[0] == 0.0


@given(amount=st.floats(0.01, 1e9), side=st.sampled_from(Side), day=st.dates(date(2015, 1, 1), date(2030, 1, 1)))
def test_costs_agree_with_decimal_arithmetic(amount, side, day):
    book = load_rules("a_share")
    exact = Decimal(amount)
    commission = max(exact * Decimal("0.00025"), Decimal(5))
    duty = Decimal("0.001") if day < date(2023, 8, 28) else Decimal("0.0005")
    transfer = exact * (Decimal("0.00002") if day < date(2022, 4, 29) else Decimal("0.00001"))
    expected = commission + transfer + (exact * duty if side is Side.SELL else 0)
    assert trading_costs(book, day, [amount], side).total[0] == pytest.approx(float(expected), rel=1e-12)


def test_nothing_traded_costs_nothing_and_nonsense_is_refused():
    book = load_rules("a_share")
    costs = trading_costs(book, date(2024, 6, 3), [0.0, 1_000.0, 1_000_000.0], Side.BUY)
    np.testing.assert_allclose(costs.commission, [0.0, 5.0, 250.0])
    for amount in (-1.0, np.nan):
        with pytest.raises(ValueError, match="Amounts are not negative"):
            trading_costs(book, date(2024, 6, 3), [amount], Side.BUY)


BOOK = """
description: a test
tick: 0.01
sellable_after_sessions: 1
boards:
  - {name: all, pattern: '.*', lot_minimum: 1, lot_increment: 1}
limits:
  - {board: all, to: 2020-12-31, band: 0.10}
  - {board: all, from: 2021-01-01, band: 0.20}
commission: {rate: 0, minimum: 0}
sell_tax:
  - {to: 2020-12-31, rate: 0.001}
  - {from: 2021-01-01, rate: 0}
transfer_fee:
  - {rate: 0}
"""

BROKEN = {
    "a gap": ("from: 2021-01-01, band", "from: 2021-01-02, band", "none holds between 2020-12-31 and 2021-01-02"),
    "an overlap": ("from: 2021-01-01, band", "from: 2020-12-31, band", "overlap"),
    "an open end between": ("to: 2020-12-31, band", "band", "overlap"),
    "no beginning": ("to: 2020-12-31, band", "from: 2019-01-01, to: 2020-12-31, band", "leave the first `from`"),
    "no end": ("from: 2021-01-01, band", "from: 2021-01-01, to: 2022-01-01, band", "the last `to` away"),
    "a gap in a rate": ("from: 2021-01-01, rate", "from: 2021-02-01, rate", "sell_tax: found"),
    "no rate": ("  - {rate: 0}\n", "", "transfer_fee"),
    "a limit of no board": ("board: all, from", "board: al, from", "limits of known boards"),
    "a board without limits": (
        "boards:\n",
        "boards:\n  - {name: b, pattern: 'b', lot_minimum: 1, lot_increment: 1}\n",
        "at least one row of limits of b",
    ),
    "a percent": ("band: 0.20", "band: 20", "less than 1"),
    "a band too fine": ("band: 0.20", "band: 0.123456", "at most four decimals"),
    "an odd tick": ("tick: 0.01", "tick: 0.03", "a part of 1"),
    "a bad pattern": ("'.*'", "'('", "a regular expression"),
    "a typo": ("description", "descripton", "did you mean 'description'"),
    "a missing field": ("tick: 0.01\n", "", "tick: this field is missing"),
    "a negative lot": ("lot_minimum: 1", "lot_minimum: -1", "greater than 0"),
    "a wrong date": ("2021-01-01, band", "2021-13-01, band", "month must be in 1..12"),
}


@pytest.mark.parametrize(("found", "broken", "told"), BROKEN.values(), ids=BROKEN)
def test_a_broken_book_is_refused_with_its_reason(tmp_path: Path, found, broken, told):
    path = tmp_path / "rules.yaml"
    path.write_text(BOOK)
    assert read_rules(path).limit_on("all", date(2021, 1, 1)).band == Decimal("0.20")  # control
    assert found in BOOK
    path.write_text(BOOK.replace(found, broken))
    with pytest.raises(BadDocument) as refusal:
        read_rules(path)
    assert told in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_a_symbol_that_fits_two_boards_is_refused(tmp_path: Path):
    path = tmp_path / "rules.yaml"
    second = "boards:\n  - {name: two, pattern: 'b.*', lot_minimum: 1, lot_increment: 1}\n"
    limits = "limits:\n  - {board: two, band: null}\n"
    path.write_text(BOOK.replace("boards:\n", second).replace("limits:\n", limits))
    book = read_rules(path)
    assert book.board_of("a").name == "all"
    with pytest.raises(UnknownBoard, match="fits two and all"):
        book.board_of("b")
