"""Session partitions: a market's calendar as Dagster sees it. Holidays are no partitions."""

from collections.abc import Sequence, Set
from datetime import date, datetime, timedelta
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
# Ten years of keys are made in 30 ms, in which Dagster looks up about so many.
_MANY_KEYS = 50


class SessionPartitions(dg.TimeWindowPartitionsDefinition):
    """Dagster's own, but quick where a run asks about all of its sessions at once."""

    def filter_valid_partition_keys(self, partition_keys: set[str]) -> set[str]:
        # Dagster asks one key after the other, and each answer walks the holidays: half a millisecond for each.
        if len(partition_keys) < _MANY_KEYS:
            return set(super().filter_valid_partition_keys(partition_keys))
        return partition_keys.intersection(self.get_partition_keys())


@cache
def session_partitions(market: Market) -> SessionPartitions:
    """One partition for each session; today's exists from midnight, since its bars come after the close."""
    calendar = market.sessions_calendar
    if isinstance(calendar, AlwaysOpen):
        return SessionPartitions(
            start=market.begins,
            cron_schedule="0 0 * * *" if calendar.step == DAY else "0 * * * *",
            fmt=DAILY_FORMAT if calendar.step == DAY else HOURLY_FORMAT,
            timezone=calendar.timezone,
        )
    last = _last_whole_year(calendar)
    open_days = {each.date() for each in calendar.sessions(market.begins, min(last, calendar.last_known))}
    return SessionPartitions(
        start=market.begins,
        end=last + DAY,
        # Only trading weekdays tick. Weekends as exclusions made every question about partitions twice as slow,
        # and on a Saturday they made Monday a partition already.
        cron_schedule=_midnights(open_days),
        fmt=DAILY_FORMAT,
        timezone=calendar.timezone,
        end_offset=1,
        exclusions=_holidays(open_days, market.begins.date(), last.date(), ZoneInfo(calendar.timezone)),
    )


def _last_whole_year(calendar: Calendar) -> Session:
    """The last day of the last year that is wholly published: an end that moves once a year, not every day.

    Dagster compares partition definitions as a whole, and one that changed overnight starts its automation anew.
    """
    known = calendar.last_known
    year_end = datetime(known.year, 12, 31)
    whole = known >= year_end - timedelta(days=_LONGEST_YEAR_END_BREAK)
    return year_end if whole else datetime(known.year - 1, 12, 31)


def _midnights(open_days: Set[date]) -> str:
    """Midnight of every weekday that ever trades, as cron counts them: Sunday is 0."""
    weekdays = sorted({(day.weekday() + 1) % _DAYS_OF_WEEK for day in open_days})
    return f"0 0 * * {','.join(map(str, weekdays))}"


def _holidays(open_days: Set[date], first: date, last: date, zone: ZoneInfo) -> Sequence[datetime]:
    """Closed days on weekdays that trade otherwise."""
    weekdays = {day.weekday() for day in open_days}
    days = (first + timedelta(days=offset) for offset in range((last - first).days + 1))
    return [midnight(day).replace(tzinfo=zone) for day in days if day not in open_days and day.weekday() in weekdays]


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
