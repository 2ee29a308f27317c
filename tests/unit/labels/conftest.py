"""Prices of a few symbols around a change of rules, written as one letter or number per session."""

from collections.abc import Callable
from datetime import datetime

import pyarrow as pa
import pytest

from quant_pipelines.calendars import calendar_named
from quant_pipelines.labels import Venue
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.markets import TradingRules, load_rules
from quant_pipelines.sources import Listing

XSHG = calendar_named("XSHG")
LONG_AGO = datetime(2015, 1, 5)


@pytest.fixture(scope="session")
def sessions() -> list[datetime]:
    return XSHG.sessions(datetime(2024, 1, 15), datetime(2024, 3, 29))


@pytest.fixture(scope="session")
def prices_of(sessions) -> Callable[..., pa.Table]:
    """prices_of({symbol: closes}): a number is a close, "S" suspended, "Q" quarantined, None no row at all.

    Every open equals the close and every reference is the close before, unless given as {symbol: values}.
    """

    def make(closes, *, factors=None, opens=None, references=None) -> pa.Table:
        rows = []
        for symbol, states in closes.items():
            for place, close in enumerate(states):
                if close is None:
                    continue
                traded = not isinstance(close, str)
                before = states[place - 1] if place else None
                row = dict.fromkeys(PRICES.names) | {
                    "session": sessions[place],
                    "symbol": symbol,
                    "suspended": close == "S",
                    "quarantined": close == "Q",
                }
                if traded:
                    row["close"] = close
                    row["open"] = (opens or {}).get(symbol, states)[place]
                    row["factor"] = factors[symbol][place] if factors else None
                    row["previous_close"] = before if isinstance(before, float) else close
                    if references:
                        row["previous_close"] = references[symbol][place]
                rows.append(row)
        return pa.Table.from_pylist(rows, schema=PRICES.arrow)

    return make


@pytest.fixture(scope="session")
def venue_of() -> Callable[..., Venue]:
    """venue_of({symbol: delisted}): listed long ago, under A-share rules unless told."""

    def make(delisted=None, *, listed=None, rules="a_share", calendar=XSHG, raw=True) -> Venue:
        begins = listed or {}
        ends = delisted or {}
        symbols = sorted({*begins, *ends})
        listings = [Listing(symbol=s, listed=begins.get(s, LONG_AGO), delisted=ends.get(s)) for s in symbols]
        return Venue(rules=TradingRules(load_rules(rules), calendar), listings=listings, prices_are_raw=raw)

    return make
