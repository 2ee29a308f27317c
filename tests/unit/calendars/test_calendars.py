"""One suite over every calendar, and the traps of each."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.calendars import Calendar, NotASession, UnknownCalendar, calendar_named, parse_session, session_key
from quant_pipelines.calendars.exchange import CalendarEnds
from quant_pipelines.errors import OperatorActionRequired

CALENDARS = [("XSHG", "1d"), ("XNYS", "1d"), ("24/7", "1d"), ("24/7", "1h")]
YEAR = (datetime(2023, 1, 1), datetime(2023, 12, 31))


@pytest.fixture(params=CALENDARS, ids="-".join)
def calendar(request: pytest.FixtureRequest) -> Calendar:
    return calendar_named(*request.param)


def test_sessions_are_strictly_increasing_and_are_sessions(calendar):
    sessions = calendar.sessions(*YEAR)
    assert sessions == sorted(set(sessions))
    assert all(calendar.is_session(each) for each in sessions)


def test_a_session_closes_after_its_label_and_in_order(calendar):
    closes = [calendar.close_of(each) for each in calendar.sessions(*YEAR)]
    assert closes == sorted(closes)
    assert all(close.tzinfo is not None for close in closes)


def test_offset_walks_the_sessions_one_by_one(calendar):
    sessions = calendar.sessions(*YEAR)[:50]
    assert [calendar.offset(sessions[0], count) for count in range(50)] == sessions
    assert calendar.offset(sessions[40], -40) == sessions[0]


def test_last_closed_is_the_session_itself_at_its_close_and_the_one_before_a_moment_earlier(calendar):
    session = calendar.sessions(*YEAR)[20]
    close = calendar.close_of(session)
    assert calendar.last_closed(close) == session
    assert calendar.last_closed(close - timedelta(seconds=1)) == calendar.offset(session, -1)


def test_what_is_no_session_is_refused_with_its_neighbours(calendar):
    with pytest.raises(NotASession, match=r"the nearest are .* and "):
        calendar.close_of(datetime(2023, 6, 3, 12, 7))


def test_holidays_and_weekends_are_no_sessions_of_an_exchange():
    shanghai = calendar_named("XSHG")
    assert [session_key(each) for each in shanghai.sessions(datetime(2024, 2, 7), datetime(2024, 2, 20))] == [
        "2024-02-07", "2024-02-08", "2024-02-19", "2024-02-20",
    ]  # fmt: skip


def test_crypto_trades_on_weekends():
    """X-01: no weekend filter anywhere."""
    always = calendar_named("24/7")
    assert len(always.sessions(datetime(2024, 2, 1), datetime(2024, 2, 29))) == 29


def test_the_close_is_in_the_markets_own_zone():
    assert calendar_named("XSHG").close_of(datetime(2024, 7, 1)) == datetime(2024, 7, 1, 7, tzinfo=UTC)
    assert calendar_named("XNYS").close_of(datetime(2024, 7, 1)) == datetime(2024, 7, 1, 20, tzinfo=UTC)
    assert calendar_named("XNYS").close_of(datetime(2024, 7, 3)) == datetime(2024, 7, 3, 17, tzinfo=UTC)


def test_beyond_the_published_calendar_nobody_guesses():
    shanghai = calendar_named("XSHG")
    with pytest.raises(CalendarEnds, match="Upgrade exchange-calendars"):
        shanghai.offset(shanghai.last_known, 1)


@pytest.mark.parametrize(("name", "near"), [("XSHE", "XSHG"), ("NYSE", "XNYS"), ("247", "24/7")])
def test_an_unknown_calendar_is_refused_with_what_was_meant(name, near):
    with pytest.raises(UnknownCalendar, match="Did you mean"):
        calendar_named(name)
    assert calendar_named(near).name == near


def test_hourly_bars_need_a_market_without_closes():
    with pytest.raises(UnknownCalendar, match="daily sessions only"):
        calendar_named("XSHG", "1h")


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)).map(lambda at: at.replace(second=0, microsecond=0)))
def test_a_session_key_reads_back(label):
    assert parse_session(session_key(label)) == label


@pytest.mark.parametrize("text", ["yesterday", "2024-13-01", "2024-01-01T00:00+01:00", ""])
def test_a_bad_session_is_refused(text):
    with pytest.raises(OperatorActionRequired):
        parse_session(text)
