"""What every calendar promises."""

from datetime import date, datetime, time, timedelta
from typing import Protocol

from quant_pipelines.errors import OperatorActionRequired

# A session is a label, not an instant: naive on purpose, so that no time zone can move it.
# Daily sessions are labelled by midnight of their date, hourly ones by the hour they begin.
Session = datetime

_COUNTED_FROM, _COUNTED_TO, _COUNTED_YEARS = datetime(2014, 1, 1), datetime(2023, 12, 31, 23), 10


class Calendar(Protocol):
    """The sessions of one market. Sessions are naive labels; instants are aware UTC times."""

    @property
    def name(self) -> str: ...

    @property
    def timezone(self) -> str: ...

    @property
    def step(self) -> timedelta:
        """Nominal length of a session: one day, or one hour where bars are hourly."""
        ...

    @property
    def last_known(self) -> Session:
        """The last session whose date is published; beyond it nobody may guess."""
        ...

    def sessions(self, first: Session, last: Session) -> list[Session]:
        """Every session from first to last, both included."""
        ...

    def is_session(self, label: Session) -> bool: ...

    def close_of(self, session: Session) -> datetime:
        """When the session's last price is made, in UTC."""
        ...

    def offset(self, session: Session, count: int) -> Session:
        """The session that lies count sessions later (earlier where negative)."""
        ...

    def last_closed(self, now: datetime) -> Session:
        """The newest session whose close is not after now."""
        ...


class NotASession(OperatorActionRequired):
    """A label that the market's calendar does not have."""

    code = "QP110"

    def __init__(self, calendar: str, label: Session, *, before: Session | None, after: Session | None) -> None:
        near = " and ".join(session_key(each) for each in (before, after) if each is not None)
        super().__init__(
            f"{session_key(label)} is not a session of {calendar}. Use one of its sessions; the nearest are {near}."
        )


def parse_session(text: str) -> Session:
    """Read `2024-01-31` or `2024-01-31T15:00` as a session label."""
    try:
        label = datetime.fromisoformat(text)
    except ValueError as error:
        raise OperatorActionRequired(f"{text!r} is no session. Write it as 2024-01-31 or 2024-01-31T15:00.") from error
    if label.tzinfo is not None:
        raise OperatorActionRequired(f"{text!r} has a time zone, but sessions are labels without one. Leave it away.")
    return label


def session_key(session: Session) -> str:
    """The session as people and partitions write it."""
    return session.strftime("%Y-%m-%d" if session.time() == time() else "%Y-%m-%dT%H:%M")


def partition_key(calendar: Calendar, session: Session) -> str:
    """The session as its partition is called; an hourly market names midnight's hour too."""
    return session.strftime("%Y-%m-%d" if calendar.step == timedelta(days=1) else "%Y-%m-%dT%H:%M")


def midnight(day: date) -> Session:
    """The label of a daily session."""
    return datetime.combine(day, time())


def sessions_per_year(calendar: Calendar) -> int:
    """How many sessions a year of the calendar has, to the nearest whole one.

    Of ten years that are over, so that the number does not move with the clock.
    """
    sessions = calendar.sessions(_COUNTED_FROM, _COUNTED_TO)
    return round(len(sessions) / _COUNTED_YEARS)
