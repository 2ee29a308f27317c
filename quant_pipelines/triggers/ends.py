"""Which sessions end a week, a month and a quarter: the market's calendar decides (X-22/23)."""

from collections import Counter
from datetime import timedelta

from quant_pipelines.calendars import Calendar, Session

_DAYS_OF_WEEK = 7
_MONTHS_OF_QUARTER = 3
# Long enough that no holiday makes a weekday look closed, short enough to notice that a market changed its week.
_WEEKS_LOOKED_AT = 8


def ends_week(calendar: Calendar, session: Session) -> bool:
    """No later session belongs to its week. Raises CalendarEnds where the next session is not published."""
    following, begins = calendar.offset(session, 1), week_begins(calendar, session)
    return _week(session, begins) != _week(following, begins)


def ends_month(calendar: Calendar, session: Session) -> bool:
    """No later session belongs to its month."""
    following = calendar.offset(session, 1)
    return (session.year, session.month) != (following.year, following.month)


def ends_quarter(calendar: Calendar, session: Session) -> bool:
    """No later session belongs to its quarter; quarters end with March, June, September and December."""
    return _quarter(session) != _quarter(calendar.offset(session, 1))


def week_begins(calendar: Calendar, session: Session) -> int:
    """The weekday that follows the market's weekend, as Python counts: Monday is 0, also where there is no weekend.

    A market that trades from Sunday to Thursday has its week's end on Thursday.
    """
    weeks = timedelta(days=_DAYS_OF_WEEK * _WEEKS_LOOKED_AT)
    days = {each.date() for each in calendar.sessions(session - weeks + calendar.step, session)}
    counts = Counter(day.weekday() for day in days)
    open_days = [counts[weekday] * 2 >= _WEEKS_LOOKED_AT for weekday in range(_DAYS_OF_WEEK)]
    starts = [day for day in range(_DAYS_OF_WEEK) if open_days[day] and not open_days[day - 1]]
    return max(starts, key=lambda day: _closed_before(open_days, day), default=0)


def _closed_before(open_days: list[bool], weekday: int) -> int:
    """How many closed weekdays come right before this one."""
    back = (open_days[weekday - distance] for distance in range(1, _DAYS_OF_WEEK))
    return next((count for count, is_open in enumerate(back) if is_open), _DAYS_OF_WEEK)


def _week(session: Session, begins: int) -> int:
    """A number that all days of one week share."""
    return (session.toordinal() - 1 - begins) // _DAYS_OF_WEEK


def _quarter(session: Session) -> tuple[int, int]:
    return session.year, (session.month - 1) // _MONTHS_OF_QUARTER
