"""Exchange sessions, through exchange_calendars."""

import warnings
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from quant_pipelines.calendars.calendar import NotASession, Session, session_key
from quant_pipelines.errors import OperatorActionRequired

# The first session of XSHG; holidays before it are not reliable for every exchange.
_FIRST_DAY = datetime(1990, 12, 19)


class CalendarEnds(OperatorActionRequired):
    """A session was asked for that lies beyond the published calendar."""

    code = "QP111"

    def __init__(self, calendar: str, asked: str, known: tuple[Session, Session]) -> None:
        span = " to ".join(map(session_key, known))
        super().__init__(
            f"{calendar} is published from {span}, but {asked} was asked for. "
            "Upgrade exchange-calendars once the exchange has announced its holidays."
        )


class CalendarUnusable(OperatorActionRequired):
    """A calendar that exists by name only."""

    code = "QP113"


class ExchangeCalendar:
    """One exchange's daily sessions."""

    step = timedelta(days=1)

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    @property
    def timezone(self) -> str:
        return str(self._exchange.tz)

    @property
    def last_known(self) -> Session:
        return self._labels[-1]

    def sessions(self, first: Session, last: Session) -> list[Session]:
        self._require_known(last)
        return self._labels[bisect_left(self._labels, first) : bisect_right(self._labels, last)]

    def is_session(self, label: Session) -> bool:
        return label in self._positions

    def close_of(self, session: Session) -> datetime:
        return self._closes[self._position(session)]

    def offset(self, session: Session, count: int) -> Session:
        position = self._position(session) + count
        if not 0 <= position < len(self._labels):
            raise CalendarEnds(self.name, f"{count:+d} sessions from {session_key(session)}", self._span)
        return self._labels[position]

    def last_closed(self, now: datetime) -> Session:
        position = bisect_right(self._closes, now.astimezone(UTC)) - 1
        if position < 0 or now.astimezone(UTC) > self._closes[-1] + timedelta(days=1):
            raise CalendarEnds(self.name, now.isoformat(), self._span)
        return self._labels[position]

    def _position(self, session: Session) -> int:
        self._require_known(session)
        position = self._positions.get(session)
        if position is None:
            nearest = bisect_left(self._labels, session)
            before = self._labels[nearest - 1] if nearest > 0 else None
            raise NotASession(self.name, session, before=before, after=self._labels[nearest])
        return position

    def _require_known(self, session: Session) -> None:
        if session > self._labels[-1]:
            raise CalendarEnds(self.name, session_key(session), self._span)

    @property
    def _span(self) -> tuple[Session, Session]:
        return self._labels[0], self._labels[-1]

    @cached_property
    def _exchange(self) -> Any:
        # Imported here because pandas costs half a second that a listing of markets need not pay.
        import exchange_calendars

        with warnings.catch_warnings():
            # exchange_calendars 4.13 still reads Series.values of zoned times; its results are right.
            warnings.simplefilter("ignore")
            try:
                return self._built(exchange_calendars)
            except (ValueError, NotImplementedError) as error:
                raise CalendarUnusable(
                    f"The calendar {self._name} cannot be computed: {error} Use another, or upgrade exchange-calendars."
                ) from error

    def _built(self, library: Any) -> Any:
        earliest = library.get_calendar(self._name).bound_min()
        start = _FIRST_DAY if earliest is None else max(earliest.to_pydatetime(), _FIRST_DAY)
        return library.get_calendar(self._name, start=start)

    @cached_property
    def _labels(self) -> list[Session]:
        return self._exchange.sessions.to_pydatetime().tolist()

    @cached_property
    def _closes(self) -> list[datetime]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._exchange.closes.dt.to_pydatetime().tolist()

    @cached_property
    def _positions(self) -> dict[Session, int]:
        return {label: position for position, label in enumerate(self._labels)}
