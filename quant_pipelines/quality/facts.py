"""What a rule may know besides the rows: the calendar, the listings, the thresholds, the present."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from quant_pipelines.calendars import Calendar, Session
from quant_pipelines.clock import Clock
from quant_pipelines.markets.market import Market, Quality
from quant_pipelines.markets.universe import universe_symbols
from quant_pipelines.sources.protocol import Listing


class Span(Protocol):
    """A range of sessions, both ends included."""

    @property
    def first(self) -> Session: ...

    @property
    def last(self) -> Session: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything the rules take as given; equal facts and equal rows give equal findings."""

    calendar: Calendar
    first: Session
    last: Session
    last_closed: Session
    listings: tuple[Listing, ...]
    quality: Quality
    # The symbols that coverage and gaps are about; None means every listed one.
    universe: frozenset[str] | None = None
    # The newest session of the whole table, where the rows at hand are only a part of it.
    newest: Session | None = None

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError(f"A window runs forward: first {self.first} is after last {self.last}.")

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The calendar's sessions in the window."""
        return tuple(self.calendar.sessions(self.first, self.last))

    @property
    def closed_sessions(self) -> tuple[Session, ...]:
        """Those of them that can have bars by now."""
        return tuple(each for each in self.sessions if each <= self.last_closed)

    @property
    def expected_listings(self) -> tuple[Listing, ...]:
        """The listings that belong to the universe."""
        return tuple(each for each in self.listings if self.universe is None or each.symbol in self.universe)


def facts_for(
    market: Market, listings: Iterable[Listing], window: Span, clock: Clock, *, newest: Session | None = None
) -> Facts:
    """The facts of one market's sessions, as of the clock's instant."""
    known = tuple(listings)
    everything = market.universe.file is None and market.universe.symbols is None
    return Facts(
        calendar=market.sessions_calendar,
        first=window.first,
        last=window.last,
        last_closed=market.sessions_calendar.last_closed(clock.now()),
        listings=known,
        quality=market.quality,
        universe=None if everything else frozenset(universe_symbols(market.universe, known)),
        newest=newest,
    )
