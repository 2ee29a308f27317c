"""Where a week, a month and a quarter end: the market's calendar decides, whatever its holidays and its weekend."""

from datetime import datetime, timedelta

import pytest

from quant_pipelines.calendars import AlwaysOpen, calendar_named, parse_session
from quant_pipelines.calendars.exchange import CalendarEnds
from quant_pipelines.triggers.ends import ends_month, ends_quarter, ends_week, week_begins
from tests.unit.triggers.conftest import FIRST, LAST, all_days, last_of_each


@pytest.mark.parametrize("name", ["XSHG", "XNYS", "24/7"])
@pytest.mark.parametrize(("ends", "period"), [(ends_week, "W-SUN"), (ends_month, "M"), (ends_quarter, "Q")])
def test_ends_are_those_of_a_grouping_of_all_sessions(name, ends, period):
    """X-22/23."""
    calendar = calendar_named(name)
    wanted = {each for each in last_of_each(all_days(name), period) if FIRST <= each <= LAST}
    assert {each for each in calendar.sessions(FIRST, LAST) if ends(calendar, each)} == wanted


def test_an_hourly_market_ends_its_week_with_the_last_hour_of_sunday():
    calendar = AlwaysOpen(timedelta(hours=1))
    sessions = calendar.sessions(datetime(2024, 3, 25), datetime(2024, 4, 7, 23))
    assert [each for each in sessions if ends_week(calendar, each)] == [
        datetime(2024, 3, 31, 23),
        datetime(2024, 4, 7, 23),
    ]
    assert [each for each in sessions if ends_quarter(calendar, each)] == [datetime(2024, 3, 31, 23)]


def test_a_holiday_on_friday_moves_the_weeks_end():
    assert ends_week(calendar_named("XNYS"), parse_session("2024-03-28"))  # Good Friday follows
    assert ends_week(calendar_named("XSHG"), parse_session("2024-02-08"))  # the Spring Festival follows


def test_a_market_that_trades_from_sunday_ends_its_week_on_thursday():
    calendar = calendar_named("XSAU")
    sessions = calendar.sessions(datetime(2024, 5, 1), datetime(2024, 5, 31))
    assert {each.strftime("%A") for each in sessions if ends_week(calendar, each)} == {"Thursday"}
    assert week_begins(calendar, sessions[-1]) == 6


def test_beyond_the_published_calendar_nobody_guesses():
    calendar = calendar_named("XSHG")
    for ends in (ends_week, ends_month, ends_quarter):
        with pytest.raises(CalendarEnds):
            ends(calendar, calendar.last_known)
