"""Session partitions are the calendar, neither more nor less."""

import time
from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context

from assets.partitions import session_partitions
from quant_pipelines.calendars import calendar_named, session_key
from quant_pipelines.markets import Market


def market(calendar: str, begins: str, bar: str = "1d") -> Market:
    return Market(
        name="m", description="a market", calendar=calendar, bar=bar, currency="CNY", first_session=begins,
        source={"kind": "synthetic"}, missing_bar="gap", rules="crypto",
    )  # fmt: skip


def keys(entry: Market, now: datetime) -> list[str]:
    with partition_loading_context(effective_dt=now):
        return list(session_partitions(entry).get_partition_keys())


@pytest.mark.parametrize("calendar", ["XSHG", "XNYS", "XHKG", "XTKS", "XLON"])
def test_partitions_are_the_sessions_of_the_exchange(calendar):
    """Holidays are no partitions, and no session is missing, over fifteen years."""
    found = keys(market(calendar, "2010-01-04"), datetime(2025, 6, 30, 12, tzinfo=UTC))
    sessions = calendar_named(calendar).sessions(datetime(2010, 1, 4), datetime(2025, 6, 30))
    assert found == [session_key(each) for each in sessions]


def test_a_market_that_never_closes_has_every_day():
    found = keys(market("24/7", "2024-02-26"), datetime(2024, 3, 4, 12, tzinfo=UTC))
    assert found == ["2024-02-26", "2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02", "2024-03-03"]


def test_hourly_bars_make_hourly_partitions():
    found = keys(market("24/7", "2024-02-29", "1h"), datetime(2024, 2, 29, 3, 30, tzinfo=UTC))
    assert found == ["2024-02-29T00:00", "2024-02-29T01:00", "2024-02-29T02:00"]


def test_todays_session_can_be_materialised_on_its_own_day():
    """The refresh after the close would otherwise have to wait for midnight."""
    after_close = datetime(2024, 7, 1, 7, 30, tzinfo=UTC)
    assert keys(market("XSHG", "2024-06-24"), after_close)[-1] == "2024-07-01"


def test_beyond_the_published_calendar_there_are_no_partitions():
    entry = market("XSHG", "2024-01-02")
    last = calendar_named("XSHG").last_known
    assert keys(entry, datetime(last.year + 2, 1, 1, tzinfo=UTC))[-1] == session_key(last)


def test_yesterday_is_the_previous_session():
    """A look-back counts sessions, over weekends and holidays."""
    definition = session_partitions(market("XSHG", "2024-01-02"))
    mapping = dg.TimeWindowPartitionMapping(start_offset=-2)
    with partition_loading_context(effective_dt=datetime(2024, 6, 1, tzinfo=UTC)):
        subset = definition.subset_with_partition_keys(["2024-02-19"])
        upstream = mapping.get_upstream_mapped_partitions_result_for_partitions(subset, definition, definition)
        assert list(upstream.partitions_subset.get_partition_keys()) == ["2024-02-07", "2024-02-08", "2024-02-19"]


def test_on_a_weekend_the_last_partition_is_the_session_before_it():
    """Nobody is offered a session that has not begun; and the control: on Monday it is there."""
    entry = market("XSHG", "2024-06-03")
    assert keys(entry, datetime(2024, 6, 29, 12, tzinfo=UTC))[-1] == "2024-06-28"
    assert keys(entry, datetime(2024, 6, 30, 17, tzinfo=UTC))[-1] == "2024-07-01"


@pytest.mark.parametrize("calendar", ["XSHG", "XNYS", "XHKG", "XTKS", "XLON"])
def test_weekends_are_no_exclusions(calendar):
    """Dagster walks the exclusions at every question, so only holidays may be among them."""
    definition = session_partitions(market(calendar, "2015-01-05"))
    assert len(definition.exclusions or ()) < 25 * 12


def test_a_question_about_ten_years_of_partitions_is_answered_at_once():
    """A run over ten years asks a few of them before its first step."""
    definition = session_partitions(market("XSHG", "2015-01-05"))
    found = keys(market("XSHG", "2015-01-05"), datetime(2024, 12, 31, 12, tzinfo=UTC))
    begin = time.perf_counter()
    subset = definition.subset_with_partition_keys(found)
    assert set(subset.get_partition_keys()) == set(found)
    assert time.perf_counter() - begin < 2
