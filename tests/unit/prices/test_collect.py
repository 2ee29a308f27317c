"""Raw bars are what the source gave: all of it, once, with who and when."""

import pytest

from quant_pipelines.calendars import parse_session
from quant_pipelines.errors import DependencyFailed
from quant_pipelines.lake import Window, no_fence
from quant_pipelines.lake.tables import QUARANTINE, RAW_BARS
from quant_pipelines.prices import SessionNotClosed
from quant_pipelines.sources import Reach, check_connectivity
from tests.bars import CLOCK, WRITER, RowBars, bar, collector, market

MONDAY, FRIDAY = "2024-06-17", "2024-06-21"
WEEK = Window(parse_session(MONDAY), parse_session(FRIDAY))


class Broken(RowBars):
    """A source whose vendor does not answer."""

    def watermark(self):
        raise DependencyFailed("The vendor does not answer. Try again later.")

    def bars(self, request):
        return self.watermark()


def test_every_row_is_kept_and_repeated_keys_are_counted(lake):
    rows = [bar(MONDAY, close=10.0), bar(MONDAY, close=11.0), bar(MONDAY, "000001.SZ"), bar(FRIDAY)]
    collector(lake, RowBars(rows), market()).collect(WEEK, writer=WRITER, fence=no_fence)
    stored = lake.table("m", RAW_BARS).read()
    assert stored.select(["symbol", "occurrence"]).to_pylist() == [
        {"symbol": "000001.SZ", "occurrence": 0},
        {"symbol": "600001.SH", "occurrence": 0},
        {"symbol": "600001.SH", "occurrence": 1},
        {"symbol": "600001.SH", "occurrence": 0},
    ]


def test_a_weekend_row_belongs_to_the_session_before_it_so_that_somebody_judges_it(lake):
    rows = [bar(FRIDAY), bar("2024-06-22")]
    collector(lake, RowBars(rows), market()).collect(WEEK, writer=WRITER, fence=no_fence)
    labels = lake.table("m", RAW_BARS).read()["session"].to_pylist()
    assert labels == [parse_session(FRIDAY), parse_session("2024-06-22")]


def test_the_source_and_the_time_of_fetching_are_recorded(lake):
    """S2-70."""
    collector(lake, RowBars([bar(MONDAY)]), market()).collect(WEEK, writer=WRITER, fence=no_fence)
    (row,) = lake.table("m", RAW_BARS).read().to_pylist()
    assert (row["source"], row["fetched_at"]) == ("rows", CLOCK.now())


def test_the_fallback_answers_when_the_source_does_not_and_the_collection_says_so(lake):
    """S2-70, S2-109, X-14: never silent."""
    backup = RowBars([bar(MONDAY)], name="backup")
    collected = collector(lake, Broken([], name="first"), market(), backup).collect(WEEK, writer=WRITER, fence=no_fence)
    assert collected.source == "backup"
    assert "first failed: The vendor does not answer" in (collected.degraded or "")


def test_while_the_source_answers_the_fallback_is_not_asked(lake):
    first = RowBars([bar(MONDAY)], name="first")
    collected = collector(lake, first, market(), Broken([])).collect(WEEK, writer=WRITER, fence=no_fence)
    assert (collected.source, collected.degraded) == ("first", None)


@pytest.mark.parametrize("fallback", [None, Broken([], name="second")])
def test_when_nobody_answers_the_error_is_the_answer(lake, fallback):
    with pytest.raises(DependencyFailed, match="does not answer"):
        collector(lake, Broken([]), market(), fallback).collect(WEEK, writer=WRITER, fence=no_fence)


def test_a_broken_row_is_in_quarantine_as_soon_as_it_is_collected(lake):
    """S1-32: where the checks then stop the run, the reason is already written down."""
    rows = [bar(MONDAY), bar(FRIDAY, high=1.0)]
    collected = collector(lake, RowBars(rows), market()).collect(WEEK, writer=WRITER, fence=no_fence)
    (held,) = lake.table("m", QUARANTINE).read().to_pylist()
    assert (held["session"], collected.quarantined) == (parse_session(FRIDAY), 1)


@pytest.mark.parametrize(
    ("source", "reach", "reason"),
    [
        (RowBars([bar(MONDAY)]), Reach.OK, "reaches 2024-06-17"),
        (RowBars([bar(MONDAY)], missing_credentials=("COINBASE_KEY",)), Reach.SKIPPED, "missing_credentials"),
        (Broken([]), Reach.FAILED, "The vendor does not answer. Try again later."),
    ],
)
def test_connectivity_is_checked_and_a_lack_of_keys_is_no_failure(source, reach, reason):
    """S1-29."""
    found = check_connectivity(source)
    assert (found.reach, found.reason) == (reach, reason)


def test_a_session_that_still_trades_is_refused(lake):
    open_session = Window(parse_session("2024-07-01"), parse_session("2024-07-01"))
    with pytest.raises(SessionNotClosed, match="2024-07-01 of m closes at 2024-07-01 07:00 UTC"):
        collector(lake, RowBars([bar("2024-07-01")]), market()).collect(open_session, writer=WRITER, fence=no_fence)


def test_only_the_universe_is_asked_for(lake):
    entry = market(universe={"symbols": ["600001.SH"]})
    collector(lake, RowBars([bar(MONDAY), bar(MONDAY, "000001.SZ")]), entry).collect(
        WEEK, writer=WRITER, fence=no_fence
    )
    assert lake.table("m", RAW_BARS).read()["symbol"].to_pylist() == ["600001.SH"]
