"""A source made of rows, for tests that need bars of their own choosing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.calendars import Session, parse_session
from quant_pipelines.clock import FixedClock
from quant_pipelines.lake import Lake, Writer
from quant_pipelines.markets import Market
from quant_pipelines.prices import Collector, Publisher
from quant_pipelines.sources import BARS, BarRequest, Listing, Watermark, who_answers

CLOCK = FixedClock(datetime(2024, 6, 28, 20, tzinfo=UTC))
WRITER = Writer("test")


def market(**changes: Any) -> Market:
    """A-shares, where every rule there is applies."""
    entry = {
        "name": "m", "description": "a market", "calendar": "XSHG", "currency": "CNY", "first_session": "2024-01-02",
        "source": {"kind": "synthetic"}, "missing_bar": "suspended", "rules": "a_share",
    }  # fmt: skip
    return Market(**(entry | changes))


def bar(session: str, symbol: str = "600001.SH", close: float | None = 10.0, **changes: Any) -> dict[str, Any]:
    """A plausible bar around a close."""
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    row = {"session": parse_session(session), "symbol": symbol, **prices, "volume": 1000.0, "amount": None}
    return row | {"previous_close": None, "factor": 1.0} | changes


@dataclass(frozen=True)
class RowBars:
    """Implements BarSource over rows in memory."""

    rows: Sequence[dict[str, Any]]
    prices_are_raw: bool = True
    name: str = "rows"
    missing_credentials: tuple[str, ...] = ()

    @property
    def table(self) -> pa.Table:
        ordered = sorted(self.rows, key=lambda row: (row["session"], row["symbol"]))
        return pa.Table.from_pylist(ordered, schema=BARS)

    def listings(self) -> tuple[Listing, ...]:
        first: dict[str, Session] = {}
        for row in self.rows:
            first[row["symbol"]] = min(first.get(row["symbol"], row["session"]), row["session"])
        return tuple(Listing(symbol=symbol, listed=listed) for symbol, listed in sorted(first.items()))

    def bars(self, request: BarRequest) -> pa.Table:
        table = self.table
        chosen = pc.and_(
            pc.greater_equal(table["session"], request.first), pc.less_equal(table["session"], request.last)
        )
        found = table.filter(chosen)
        if request.symbols is None:
            return found
        return found.filter(pc.is_in(found["symbol"], pa.array(sorted(request.symbols))))

    def watermark(self) -> Watermark:
        return Watermark(last_session=max((row["session"] for row in self.rows), default=None), token=str(self.rows))


def collector(lake: Lake, source: Any, entry: Market, fallback: Any = None) -> Collector:
    return Collector(market=entry, answering=who_answers(source, fallback), lake=lake, clock=CLOCK)


def publisher(lake: Lake, source: Any, entry: Market) -> Publisher:
    return Publisher(
        market=entry, listings=source.listings(), prices_are_raw=source.prices_are_raw, lake=lake, clock=CLOCK
    )
