"""Calendars by the name that markets.yaml uses."""

import difflib
from datetime import timedelta
from functools import cache

from quant_pipelines.calendars.always_open import AlwaysOpen
from quant_pipelines.calendars.calendar import Calendar
from quant_pipelines.calendars.exchange import ExchangeCalendar
from quant_pipelines.errors import OperatorActionRequired

ALWAYS_OPEN = "24/7"
DAILY = "1d"
STEPS = {DAILY: timedelta(days=1), "1h": timedelta(hours=1)}


class UnknownCalendar(OperatorActionRequired):
    """A calendar name that nobody knows."""

    code = "QP112"


def calendar_named(name: str, bar: str = DAILY) -> Calendar:
    """The calendar for an exchange code such as `XSHG`, or `24/7`; one object for each."""
    return _calendar(name, bar)


@cache
def _calendar(name: str, bar: str) -> Calendar:
    if name == ALWAYS_OPEN:
        return AlwaysOpen(STEPS[bar])
    if bar != DAILY:
        raise UnknownCalendar(f"{name} has daily sessions only, bar {bar!r} was asked for. Use bar: 1d.")
    known = _exchange_codes()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or ["XSHG", "XNYS", ALWAYS_OPEN]
        raise UnknownCalendar(f"Unknown calendar {name!r}. Did you mean {' or '.join(near)}?")
    return ExchangeCalendar(name)


@cache
def _exchange_codes() -> frozenset[str]:
    import exchange_calendars

    return frozenset(exchange_calendars.get_calendar_names(include_aliases=False))
