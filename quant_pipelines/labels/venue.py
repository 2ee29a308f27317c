"""What a market says about its symbols: who left when, and which prices its rules allow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.calendars import Calendar, Session
from quant_pipelines.labels.returns import Matrix
from quant_pipelines.markets import Limits, TradingRules, UnknownBoard

Mask = NDArray[np.bool_]
Places = NDArray[np.int64]


class Listed(Protocol):
    """When a symbol could be traded."""

    @property
    def symbol(self) -> str: ...

    @property
    def listed(self) -> Session: ...

    @property
    def delisted(self) -> Session | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """Trading rules with the market's calendar, the listings, and whether prices are as they traded."""

    rules: TradingRules
    listings: Sequence[Listed]
    prices_are_raw: bool

    @property
    def calendar(self) -> Calendar:
        return self.rules.calendar

    def last_places(self, symbols: Sequence[str], sessions: NDArray[np.datetime64]) -> Places:
        """The place of each symbol's last listed session; beyond all sessions where it has not left by then."""
        left = {each.symbol: each.delisted for each in self.listings if each.delisted is not None}
        ends = np.array([np.datetime64(left.get(each), "us") for each in symbols], "datetime64[us]")
        places = np.searchsorted(sessions, ends, side="right") - 1
        return np.where(np.isnat(ends), sessions.size, places)

    def limits(self, sessions: Sequence[Session], symbols: Sequence[str], reference: Matrix) -> tuple[Limits, Mask]:
        """The limits of every cell, and where they are unknown: infinitely far away is known, unheard of is not."""
        begins = {each.symbol: each.listed for each in self.listings}
        listed = [begins.get(each) for each in symbols]
        banded = np.isfinite(self.rules.limit_grid(sessions, symbols, np.ones_like(reference), listed=listed).up)
        limits = self.rules.limit_grid(sessions, symbols, reference, listed=listed)
        unknown = banded if not self.prices_are_raw else banded & np.isnan(limits.up)
        return limits, unknown | np.array([self._has_no_board(each) for each in symbols], bool)

    def _has_no_board(self, symbol: str) -> bool:
        try:
            self.rules.book.board_of(symbol)
        except UnknownBoard:
            return True
        return False
