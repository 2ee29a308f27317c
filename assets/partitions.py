"""Session partitions: a market's calendar as Dagster sees it. Holidays are no partitions."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from quant_pipelines.calendars import Calendar, Session, parse_session, session_key
from quant_pipelines.calendars.always_open import AlwaysOpen
from quant_pipelines.calendars.calendar import midnight
from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Window
from quant_pipelines.markets import Market
from quant_pipelines.prices import SessionNotClosed, closed_part

DAY = timedelta(days=1)
DAILY_FORMAT = "%Y-%m-%d"
HOURLY_FORMAT = "%Y-%m-%dT%H:%M"
_DAYS_OF_WEEK = 7
_LONGEST_YEAR_END_BREAK = 4


@cache
def session_partitions(market: Market) -> dg.TimeWindowPartitionsDefinition:
    """One partition for each session; today's exists from midnight, since its bars come after the close."""
    calendar = market.sessions_calendar
    if isinstance(calendar, AlwaysOpen):
        return dg.TimeWindowPartitionsDefinition(
            start=market.begins,
            cron_schedule="0 0 * * *" if calendar.step == DAY else "0 * * * *",
            fmt=DAILY_FORMAT if calendar.step == DAY else HOURLY_FORMAT,
            timezone=calendar.timezone,
        )
    return dg.TimeWindowPartitionsDefinition(
        start=market.begins,
        end=_last_whole_year(calendar) + DAY,
        cron_schedule="0 0 * * *",
        fmt=DAILY_FORMAT,
        timezone=calendar.timezone,
        end_offset=1,
        exclusions=_closed_days(calendar, market.begins, _last_whole_year(calendar)),
    )


def _last_whole_year(calendar: Calendar) -> Session:
    """The last day of the last year that is wholly published: an end that moves once a year, not every day.

    Dagster compares partition definitions as a whole, and one that changed overnight starts its automation anew.
    """
    known = calendar.last_known
    year_end = datetime(known.year, 12, 31)
    whole = known >= year_end - timedelta(days=_LONGEST_YEAR_END_BREAK)
    return year_end if whole else datetime(known.year - 1, 12, 31)


def _closed_days(calendar: Calendar, first: Session, last: Session) -> Sequence[str | datetime]:
    """Weekdays that never trade as one cron, every other closed day by its date."""
    open_days = {session.date() for session in calendar.sessions(first, min(last, calendar.last_known))}
    trading_weekdays = {day.weekday() for day in open_days}
    resting = [weekday for weekday in range(_DAYS_OF_WEEK) if weekday not in trading_weekdays]
    zone = ZoneInfo(calendar.timezone)
    span = (last.date() - first.date()).days
    days = (first.date() + timedelta(days=offset) for offset in range(span + 1))
    holidays = [
        midnight(day).replace(tzinfo=zone) for day in days if day not in open_days and day.weekday() in trading_weekdays
    ]
    crons = [f"0 0 * * {','.join(str((weekday + 1) % _DAYS_OF_WEEK) for weekday in resting)}"] if resting else []
    return [*crons, *holidays]


def closed_sessions_of(context: dg.AssetExecutionContext, market: Market) -> Window:
    """The sessions that a run was asked for, without those that have not closed; saying so."""
    asked = Window(parse_session(context.partition_keys[0]), parse_session(context.partition_keys[-1]))
    calendar = market.sessions_calendar
    closed = closed_part(calendar, asked, SystemClock())
    if closed is None:
        raise SessionNotClosed(market.name, asked.first, calendar.close_of(asked.first))
    if closed != asked:
        context.log.warning(
            "Sessions after %s have not closed and are left out; materialise them later.", session_key(closed.last)
        )
    return closed


def sessions_checked(context: dg.AssetCheckExecutionContext, market: Market) -> Window:
    """The sessions of the run that a check judges; the last closed one where a person runs the check alone.

    The checks themselves are not partitioned: Dagster 1.13 would store a planned event for every rule and
    session, ten thousand for a year, and its Checks tab shows the latest evaluation either way.
    """
    tags = context.run.tags
    first = tags.get(ASSET_PARTITION_RANGE_START_TAG) or tags.get(PARTITION_NAME_TAG)
    if first is None:
        last_closed = market.sessions_calendar.last_closed(SystemClock().now())
        return Window(last_closed, last_closed)
    asked = Window(parse_session(first), parse_session(tags.get(ASSET_PARTITION_RANGE_END_TAG, first)))
    return closed_part(market.sessions_calendar, asked, SystemClock()) or asked
