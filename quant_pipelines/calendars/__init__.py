"""When a market trades: sessions, their closes, and arithmetic on them."""

from quant_pipelines.calendars.always_open import AlwaysOpen
from quant_pipelines.calendars.calendar import (
    Calendar,
    NotASession,
    Session,
    parse_session,
    partition_key,
    session_key,
    sessions_per_year,
)
from quant_pipelines.calendars.exchange import ExchangeCalendar
from quant_pipelines.calendars.named import UnknownCalendar, calendar_named

__all__ = [
    "AlwaysOpen",
    "Calendar",
    "ExchangeCalendar",
    "NotASession",
    "Session",
    "UnknownCalendar",
    "calendar_named",
    "parse_session",
    "partition_key",
    "session_key",
    "sessions_per_year",
]
