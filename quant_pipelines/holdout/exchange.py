"""Where scores are traded: the market's real prices, who could be bought and sold at which open, and what it costs."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session
from quant_pipelines.evaluation.trading import Costs, Prices
from quant_pipelines.labels import PriceGrid, Venue, tradability
from quant_pipelines.lake import Lake, Window
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.markets import Market, Side, trading_costs
from quant_pipelines.prices import look_ahead

_COLUMNS = (SESSION, SYMBOL, "open", "close", "factor", "previous_close", "suspended", "quarantined")
# Large enough for a broker's minimum to mean nothing: what is asked for is a share.
_ORDER = 1e8
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Quotes:
    """Prices by session and symbol, adjusted by dated factors, and the data version that they were read from."""

    sessions: NDArray[np.datetime64]
    symbols: NDArray[np.str_]
    prices: Prices
    data_version: str

    def scores(self, sessions: NDArray[np.datetime64], symbols: NDArray[np.str_], score: Matrix) -> Matrix:
        """Scores laid out as the prices are, NaN where there is none. A symbol without a price cannot be traded."""
        out = np.full(self.prices.open.shape, np.nan)
        rows = np.searchsorted(self.sessions, sessions)
        columns = np.minimum(np.searchsorted(self.symbols, symbols), max(self.symbols.size - 1, 0))
        known = self.symbols[columns] == symbols
        out[rows[known], columns[known]] = score[known]
        return out


@dataclass(frozen=True, eq=False, kw_only=True)
class Exchange:
    """One market's prices and rules, for trading on paper. `as_of` is a version of the prices; None: the newest."""

    market: Market
    lake: Lake
    venue: Venue
    as_of: int | None = None

    def quotes(self, first: Session, last: Session) -> Quotes:
        """From the first signal to the session after the last one, in which it is traded."""
        calendar = self.market.sessions_calendar
        window = self._window(first, last)
        table = self.lake.table(self.market.name, PRICES)
        version = table.version() if self.as_of is None else self.as_of
        rows = table.read(window, columns=_COLUMNS, as_of=version)
        grid = PriceGrid.from_prices(rows, calendar, through=window.last)
        able = tradability(grid, self.venue)
        nobody = np.zeros((1, len(grid.symbols)), bool)  # nothing is known of the open of the first signal's session
        factor = np.where(np.isnan(grid.prices["factor"]).all(axis=0), 1.0, grid.prices["factor"])
        return Quotes(
            sessions=grid.labels,
            symbols=np.array(grid.symbols, np.str_),
            prices=Prices(
                open=grid.prices["open"] * factor,
                close=grid.prices["close"] * factor,
                buyable=np.vstack([nobody, able.buyable & ~able.unknown]),
                sellable=np.vstack([nobody, able.sellable & ~able.unknown]),
            ),
            data_version=table.data_version(window, as_of=version),
        )

    def as_quoted(self, first: Session, last: Session, data_version: str) -> "Exchange | None":
        """With the newest prices that are those of a data version; None where the table never held them."""
        window, table = self._window(first, last), self.lake.table(self.market.name, PRICES)
        for each in table.history():
            if table.data_version(window, as_of=each.version) == data_version:
                return replace(self, as_of=each.version)
        return None

    def _window(self, first: Session, last: Session) -> Window:
        return Window(first, look_ahead(self.market.sessions_calendar, last, 1))

    def costs(self, session: Session) -> Costs:
        """Fractions of an order that was large, by the rules of the day."""
        book = self.venue.rules.book
        buy, sell = (
            float(trading_costs(book, session.date(), [_ORDER], side).total[0]) / _ORDER
            for side in (Side.BUY, Side.SELL)
        )
        return Costs(buy=buy, sell=sell)

    def sessions_a_year(self, session: Session) -> int:
        """How many sessions the year up to this one had, or would have had."""
        year_before = session.replace(year=session.year - 1, day=min(session.day, 28))
        return len(self.market.sessions_calendar.sessions(year_before, session)) - 1
