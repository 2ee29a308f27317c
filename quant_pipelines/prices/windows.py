"""Between sessions and the labels that a source may use for them."""

from datetime import datetime, timedelta

from quant_pipelines.calendars import Calendar, Session, session_key
from quant_pipelines.clock import Clock
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.lake import Lake, Window
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.markets import Market
from quant_pipelines.sources import Watermark

# A year: 5,000 symbols of it are a quarter of a gigabyte.
SESSIONS_PER_CHUNK = 250
# No exchange closes for so long that a later session lies further off.
_LONGEST_WAIT = timedelta(days=30)
_LAST_INSTANT = timedelta(microseconds=1)


class SessionNotClosed(OperatorActionRequired):
    """Bars of a session that is still trading, or has not begun, would change under their readers."""

    code = "QP202"

    def __init__(self, market: str, session: Session, closes: datetime) -> None:
        super().__init__(
            f"Session {session_key(session)} of {market} closes at {closes:%Y-%m-%d %H:%M} UTC. "
            "Materialise it after its close."
        )


def label_window(calendar: Calendar, sessions: Window) -> Window:
    """Every label up to the next session: a stray weekend row belongs to somebody, so it is seen and judged."""
    following = (
        calendar.offset(sessions.last, 1) if sessions.last < calendar.last_known else sessions.last + calendar.step
    )
    return Window(sessions.first, following - _LAST_INSTANT)


def closed_part(calendar: Calendar, window: Window, clock: Clock) -> Window | None:
    """The window without its sessions that still trade or have not begun; None where that leaves nothing."""
    last = min(window.last, calendar.last_closed(clock.now()))
    return Window(window.first, last) if last >= window.first else None


def look_back(calendar: Calendar, session: Session, count: int, *, earliest: Session) -> Session:
    """The session that lies count sessions before, or the market's first one."""
    known = calendar.sessions(earliest, session)
    return known[max(0, len(known) - 1 - count)]


def look_ahead(calendar: Calendar, session: Session, count: int) -> Session:
    """The session that lies count sessions after, or the last one whose date is published."""
    following = calendar.sessions(session, min(session + _LONGEST_WAIT * (count + 1), calendar.last_known))
    return following[min(count, len(following) - 1)]


def chunks(calendar: Calendar, window: Window, *, sessions: int = SESSIONS_PER_CHUNK) -> list[Window]:
    """The window cut into spans that fit in memory, oldest first: later ones look back on earlier ones."""
    all_of_it = calendar.sessions(window.first, window.last)
    parts = (all_of_it[start : start + sessions] for start in range(0, len(all_of_it), sessions))
    return [Window(part[0], part[-1]) for part in parts]


def sessions_to_refresh(market: Market, lake: Lake, watermark: Watermark, clock: Clock) -> list[Session]:
    """Closed sessions that the source has and that are newer than the newest published one, oldest first."""
    newest = max(lake.table(market.name, PRICES).session_ids(), default=None)
    return [each for each in all_sessions(market, watermark, clock) if newest is None or each > newest]


def all_sessions(market: Market, watermark: Watermark, clock: Clock) -> list[Session]:
    """Every closed session from the market's first to the source's last."""
    if watermark.last_session is None:
        return []
    calendar = market.sessions_calendar
    last = min(watermark.last_session, calendar.last_closed(clock.now()))
    return calendar.sessions(market.begins, last) if last >= market.begins else []
