"""Published prices: judged, complete, flagged, and every change listed."""

import pytest

from quant_pipelines.calendars import parse_session
from quant_pipelines.lake.tables import PRICES, QUARANTINE, RESTATEMENTS
from quant_pipelines.prices import HardFindings, changed_sessions, consecutive
from tests.bars import RowBars, bar, collector, market

DAYS = ("2024-06-17", "2024-06-18", "2024-06-19", "2024-06-20", "2024-06-21")
FIRST, LAST = DAYS[0], DAYS[-1]
HOLDING_OUT = market(quality={"on_hard_finding": "quarantine"})


def column(published, name, symbol="600001.SH"):
    rows = published.prices.to_pylist()
    return [row[name] for row in rows if row["symbol"] == symbol]


def test_a_listed_stock_without_a_bar_is_suspended_and_carries_no_price(publish):
    rows = [bar(day) for day in DAYS] + [bar(DAYS[0], "000001.SZ"), bar(DAYS[4], "000001.SZ")]
    published = publish(rows, FIRST, LAST)
    assert column(published, "suspended", "000001.SZ") == [False, True, True, True, False]
    assert column(published, "close", "000001.SZ") == [10.0, None, None, None, 10.0]


def test_before_its_listing_a_stock_has_no_row(publish):
    published = publish([bar(day) for day in DAYS] + [bar(DAYS[3], "000001.SZ")], FIRST, LAST)
    assert len(column(published, "close", "000001.SZ")) == 2


def test_where_a_missing_bar_is_a_gap_there_is_no_row_for_it(publish):
    rows = [bar(day) for day in (DAYS[0], DAYS[4])]
    published = publish(rows, FIRST, LAST, entry=market(missing_bar="gap"))
    assert column(published, "suspended") == [False, False]


def test_the_reference_price_is_the_last_traded_close(publish):
    rows = [bar(DAYS[0], close=10.0), bar(DAYS[1], close=10.5), bar(DAYS[4], close=10.6)]
    assert column(publish(rows, FIRST, LAST), "previous_close") == [None, 10.0, None, None, 10.5]


def test_the_reference_price_reaches_back_before_the_window(publish):
    rows = [bar(day, close=10.0 + index) for index, day in enumerate(DAYS)]
    publish(rows, FIRST, DAYS[3])
    assert column(publish(rows, DAYS[4], DAYS[4]), "previous_close") == [13.0]


def test_one_run_and_many_runs_publish_the_same(publish, lake):
    """A backfill's chunks must not change what is published."""
    rows = [bar(day, close=10.0 + index) for index, day in enumerate(DAYS)]
    for day in DAYS:
        publish(rows, day, day)
    by_day = lake.table("m", PRICES).session_ids()
    assert publish(rows, FIRST, LAST).commit.changed == ()
    assert lake.table("m", PRICES).session_ids() == by_day


def test_an_ex_dividend_reference_is_lowered_by_the_factors_step(publish):
    rows = [bar(DAYS[0], close=10.0, factor=1.0), bar(DAYS[1], close=5.0, factor=2.0)]
    assert column(publish(rows, FIRST, DAYS[1]), "previous_close") == [None, 5.0]


@pytest.mark.parametrize(
    ("close", "up", "down"), [(11.0, True, False), (10.99, False, False), (9.0, False, True), (9.01, False, False)]
)
def test_limit_days_are_flagged_at_the_exact_price(publish, close, up, down):
    old = [bar("2024-01-02", close=10.0)]  # long listed: the first sessions of a listing know no limit
    rows = [*old, *(bar(day, close=10.0) for day in DAYS[:4]), bar(DAYS[4], close=close, previous_close=10.0)]
    published = publish(rows, FIRST, LAST)
    assert (column(published, "limit_up")[-1], column(published, "limit_down")[-1]) == (up, down)


def test_prices_that_a_vendor_adjusted_have_no_known_limit(publish):
    rows = [bar("2024-01-02"), *(bar(day, previous_close=10.0) for day in DAYS)]
    assert column(publish(rows, FIRST, LAST, raw=False), "limit_up") == [None] * 5


def test_vwap_is_amount_by_volume_else_the_typical_price_and_says_which(publish):
    """X-06."""
    rows = [bar(DAYS[0], amount=10_100.0), bar(DAYS[1], high=12.0, low=8.0, close=10.0)]
    published = publish(rows, FIRST, DAYS[1])
    assert column(published, "vwap") == [10.1, 10.0]
    assert column(published, "vwap_is_typical") == [False, True]


BAD = {"high": 9.0}


def test_a_hard_finding_blocks_and_the_row_lies_in_quarantine(publish, lake):
    """S1-32, S1-33, X-14: bad data blocks."""
    with pytest.raises(HardFindings, match="1 raw bars of m broke hard rules"):
        publish([bar(DAYS[0]), bar(DAYS[1], **BAD)], FIRST, LAST)
    (row,) = lake.table("m", QUARANTINE).read().to_pylist()
    assert (row["session"], row["symbol"]) == (parse_session(DAYS[1]), "600001.SH")
    assert "high 9" in row["reason"]
    assert lake.table("m", PRICES).version() is None


def test_the_earlier_prices_are_still_served_after_a_blocked_run(publish, lake):
    publish([bar(day) for day in DAYS], FIRST, LAST)
    before = lake.table("m", PRICES).session_ids()
    with pytest.raises(HardFindings):
        publish([bar(day, **BAD) for day in DAYS], FIRST, LAST)
    assert lake.table("m", PRICES).session_ids() == before


def test_by_configuration_the_bad_row_is_held_out_and_the_rest_goes_on(publish, lake):
    """X-14: a degraded mode exists only by explicit configuration, and is flagged."""
    published = publish([bar(DAYS[0]), bar(DAYS[1], **BAD), bar(DAYS[2])], FIRST, DAYS[2], entry=HOLDING_OUT)
    assert column(published, "quarantined") == [False, True, False]
    assert column(published, "close") == [10.0, None, 10.0]
    assert column(published, "suspended") == [False, False, False]
    assert published.quarantined == lake.table("m", QUARANTINE).read().num_rows == 1


def test_a_corrected_row_leaves_the_quarantine(publish, lake):
    publish([bar(DAYS[0], **BAD)], FIRST, FIRST, entry=HOLDING_OUT)
    publish([bar(DAYS[0])], FIRST, FIRST, entry=HOLDING_OUT)
    assert lake.table("m", QUARANTINE).read().num_rows == 0


def test_equal_bars_published_twice_write_nothing(publish, lake):
    rows = [bar(day) for day in DAYS]
    publish(rows, FIRST, LAST)
    version = lake.table("m", PRICES).version()
    again = publish(rows, FIRST, LAST)
    assert (again.commit.changed, again.restatements.num_rows) == ((), 0)
    assert lake.table("m", PRICES).version() == version


def test_a_corrected_bar_is_listed_with_old_and_new_value_and_versions(publish, lake):
    publish([bar(day, close=10.0) for day in DAYS], FIRST, LAST)
    old = lake.table("m", PRICES).session_ids()[parse_session(DAYS[4])]
    publish([*(bar(day, close=10.0) for day in DAYS[:4]), bar(DAYS[4], close=10.4)], FIRST, LAST)
    new = lake.table("m", PRICES).session_ids()[parse_session(DAYS[4])]
    listed = {row["column"]: row for row in lake.table("m", RESTATEMENTS).read().to_pylist()}
    assert set(listed) == {"open", "high", "low", "close"}
    close = listed["close"]
    assert (close["old_value"], close["new_value"]) == ("10", "10.4")
    assert close["relative_change"] == pytest.approx(0.04)
    assert (close["old_version"], close["new_version"]) == (old, new)


def test_a_vanished_bar_is_listed(publish, lake):
    """A bar that the vendor took away becomes a suspension, and that is a change of its values."""
    publish([bar(day) for day in DAYS], FIRST, LAST)
    publish([bar(day) for day in DAYS[:4]], FIRST, LAST)
    listed = lake.table("m", RESTATEMENTS).read().to_pylist()
    assert {(row["column"], row["new_value"]) for row in listed} >= {("close", None), ("suspended", "true")}


def test_a_second_correction_keeps_the_first_on_the_list(publish, lake):
    for close in (10.0, 10.4, 10.2):
        publish([bar(DAYS[0], close=close)], FIRST, FIRST)
    closes = [row for row in lake.table("m", RESTATEMENTS).read().to_pylist() if row["column"] == "close"]
    assert sorted((row["old_value"], row["new_value"]) for row in closes) == [("10", "10.4"), ("10.4", "10.2")]


def test_the_versions_before_a_correction_stay_readable(publish, lake):
    publish([bar(DAYS[0], close=10.0)], FIRST, FIRST)
    table = lake.table("m", PRICES)
    before = table.version()
    publish([bar(DAYS[0], close=10.4)], FIRST, FIRST)
    assert table.read(as_of=before)["close"].to_pylist() == [10.0]
    assert table.read()["close"].to_pylist() == [10.4]


def test_a_held_out_bar_is_no_reference_for_later_sessions(publish):
    """One range and day by day agree on dirty bars too."""
    rows = [bar(DAYS[0], close=10.0), bar(DAYS[1], close=12.0, high=9.0), bar(DAYS[2], close=10.2)]
    together = column(publish(rows, FIRST, DAYS[2], entry=HOLDING_OUT), "previous_close")
    alone = column(publish(rows, DAYS[2], DAYS[2], entry=HOLDING_OUT), "previous_close")
    assert together == [None, None, 10.0]
    assert alone == [10.0]


def test_a_session_that_vanishes_is_listed_bar_by_bar(publish, lake):
    gap = market(missing_bar="gap")
    publish([bar(day) for day in DAYS], FIRST, LAST, entry=gap)
    publish([bar(day) for day in DAYS[:4]], FIRST, LAST, entry=gap)
    (row,) = lake.table("m", RESTATEMENTS).read().to_pylist()
    assert (row["session"], row["column"], row["old_value"], row["new_value"]) == (
        parse_session(DAYS[4]), "row", "present", None,
    )  # fmt: skip


def test_history_that_arrives_late_restates_nothing(publish, lake):
    """The reference price of the first known session follows from it, and the vendor changed no bar."""
    rows = [bar(day, close=10.0 + index) for index, day in enumerate(DAYS)]
    publish(rows, DAYS[2], LAST)
    publish(rows, FIRST, LAST)
    assert lake.table("m", RESTATEMENTS).read().num_rows == 0


def test_only_sessions_whose_bars_differ_are_fetched_again(publish, lake):
    rows = [bar(day) for day in DAYS]
    publish(rows, FIRST, LAST, entry=market(first_session=FIRST))

    def changed(now):
        return changed_sessions(collector(lake, RowBars(now), market(first_session=FIRST)))

    assert changed(rows) == []
    assert changed([*rows[:4], bar(DAYS[4], close=11.0)]) == [parse_session(DAYS[4])]
    assert changed([rows[0], *rows[2:]]) == [parse_session(DAYS[1])]
    assert changed([*rows, bar("2024-06-22")]) == [parse_session(DAYS[4])]
    assert changed([*rows, bar("2024-06-24")]) == [parse_session("2024-06-24")]


def test_sessions_are_grouped_into_unbroken_spans():
    calendar = market().sessions_calendar
    days = [parse_session(day) for day in ("2024-06-17", "2024-06-18", "2024-06-21", "2024-06-24")]
    assert consecutive(calendar, days) == [days[:2], days[2:]]
    everything = calendar.sessions(parse_session("2024-01-02"), parse_session("2024-03-29"))
    assert consecutive(calendar, everything[::2]) == [calendar.sessions(everything[0], everything[::2][-1])]
    assert consecutive(calendar, []) == []
