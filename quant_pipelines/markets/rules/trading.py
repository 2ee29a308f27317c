"""Which rule a symbol trades under in a session."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from quant_pipelines.calendars import Calendar, Session
from quant_pipelines.markets.rules.book import RuleBook, UnknownBoard
from quant_pipelines.markets.rules.limits import BASIS_POINTS, Limits, limits_in_prices

# No exchange closes for this long, so an older listing cannot be in its first sessions and nobody need count them.
_LONGEST_BREAK = timedelta(days=30)
_NO_BAND = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolRule:
    """What holds for one symbol in one session. Without a band the price may move any distance."""

    board: str
    band: Decimal | None
    tick: Decimal
    lot_minimum: Decimal
    lot_increment: Decimal
    sellable_after_sessions: int


@dataclass(frozen=True, slots=True)
class TradingRules:
    """A rule book read with a market's calendar, which counts the first sessions of a listing."""

    book: RuleBook
    calendar: Calendar

    def rule_for(self, symbol: str, session: Session, listed: Session | None = None, is_st: bool = False) -> SymbolRule:
        """The rule in force. Without a listing date a symbol counts as listed long ago."""
        board = self.book.board_of(symbol)
        free = listed is not None and session in self._free_sessions(board.name, listed, until=session)
        return SymbolRule(
            board=board.name,
            band=None if free else self.book.limit_on(board.name, session.date(), is_st=is_st).band,
            tick=self.book.tick,
            lot_minimum=board.lot_minimum,
            lot_increment=board.lot_increment,
            sellable_after_sessions=self.book.sellable_after_sessions,
        )

    def limit_grid(
        self,
        sessions: Sequence[Session],
        symbols: Sequence[str],
        previous_close: npt.NDArray[np.float64],
        *,
        listed: Sequence[Session | None],
    ) -> Limits:
        """The limits of sessions x symbols at once, as `rule_for` and `limit_prices` give them one by one.

        NaN where there is no limit, no reference price, or no board that fits the symbol.
        """
        bands = np.full(previous_close.shape, _NO_BAND, dtype=np.int64)
        columns = self._columns_by_board(symbols)
        for row in self.book.limits:
            within = [position for position, session in enumerate(sessions) if row.holds_on(session.date())]
            if row.status == "normal" and row.band is not None and within:
                bands[np.ix_(within, columns.get(row.board, []))] = int(row.band * BASIS_POINTS)
        self._free_first_sessions(bands, sessions, columns, listed)
        limited = bands != _NO_BAND
        return limits_in_prices(np.where(limited, previous_close, np.nan), bands, self.book.ticks_per_unit)

    def _columns_by_board(self, symbols: Sequence[str]) -> dict[str, list[int]]:
        columns: dict[str, list[int]] = {}
        for position, symbol in enumerate(symbols):
            try:
                columns.setdefault(self.book.board_of(symbol).name, []).append(position)
            except UnknownBoard:
                continue  # its limits stay unknown, and the caller's flags say so
        return columns

    def _free_first_sessions(
        self,
        bands: npt.NDArray[np.int64],
        sessions: Sequence[Session],
        columns: dict[str, list[int]],
        listed: Sequence[Session | None],
    ) -> None:
        for board, positions in columns.items():
            for position in positions:
                begins = listed[position]
                if begins is None or not sessions or begins < sessions[0] - _LONGEST_BREAK:
                    continue
                free = frozenset(self._free_sessions(board, begins, until=sessions[-1]))
                bands[[index for index, each in enumerate(sessions) if each in free], position] = _NO_BAND

    def _free_sessions(self, board: str, listed: Session, *, until: Session) -> list[Session]:
        """The first sessions of a listing, which know no limit; the row of the listing's day says how many."""
        count = self.book.limit_on(board, listed.date()).free_sessions
        # Counting stops after the break: `until` may lie years later.
        last = min(until, listed + _LONGEST_BREAK)
        return self.calendar.sessions(listed, last)[:count] if count and listed <= last else []
