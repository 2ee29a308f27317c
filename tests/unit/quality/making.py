"""Bars, prices and facts for the quality tests: clean by default, dirty where a test says so."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from quant_pipelines.calendars import Session, calendar_named
from quant_pipelines.lake.tables import PRICES, RAW_BARS
from quant_pipelines.markets.market import Quality
from quant_pipelines.quality import Facts
from quant_pipelines.sources.protocol import Listing

CALENDAR = calendar_named("XSHG", "1d")
SESSIONS = CALENDAR.sessions(datetime(2024, 1, 2), datetime(2024, 1, 15))
SATURDAY = datetime(2024, 1, 6)
SYMBOLS = ("600000", "600001", "600002")
LISTINGS = (
    Listing(symbol="600000", listed=datetime(2000, 1, 4)),
    Listing(symbol="600001", listed=datetime(2024, 1, 4), delisted=datetime(2024, 1, 10)),
)
FACTS = Facts(
    calendar=CALENDAR,
    first=SESSIONS[0],
    last=SESSIONS[-1],
    last_closed=SESSIONS[-1],
    listings=LISTINGS,
    quality=Quality(spike_return=0.2, gap_sessions=3, minimum_coverage=0.8, stale_after_sessions=2),
)
ONE_LISTING = replace(FACTS, listings=LISTINGS[:1])

BAR: dict[str, Any] = {
    "session": SESSIONS[0],
    "symbol": "600000",
    "occurrence": 0,
    "open": 9.9,
    "high": 10.2,
    "low": 9.7,
    "close": 10.0,
    "volume": 1000.0,
    "amount": 10000.0,
    "previous_close": 9.95,
    "factor": 1.0,
    "source": "test",
    "fetched_at": datetime(2024, 1, 16, 8, 30, tzinfo=UTC),
}
PRICE = {
    **BAR,
    "vwap": 10.0,
    "vwap_is_typical": False,
    "suspended": False,
    "quarantined": False,
    "limit_up": False,
    "limit_down": False,
}
NO_PRICES: dict[str, Any] = dict.fromkeys(
    ("open", "high", "low", "close", "volume", "amount", "vwap", "vwap_is_typical", "limit_up", "limit_down")
)


def bars(*changes: dict[str, Any]) -> pa.Table:
    """One row per change to a clean bar."""
    return _table([{**BAR, **change} for change in changes], RAW_BARS.arrow)


def prices(*changes: dict[str, Any]) -> pa.Table:
    return _table([{**PRICE, **change} for change in changes], PRICES.arrow)


def every_session(symbol: str = "600000", *, without: tuple[Session, ...] = ()) -> list[dict[str, Any]]:
    return [{"session": each, "symbol": symbol} for each in SESSIONS if each not in without]


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    # Column by column: from_pylist would take the dictionaries' word for which columns exist.
    return pa.table([pa.array([row[name] for row in rows], schema.field(name).type) for name in schema.names], schema)


# Few values, so that rows collide, touch each other's bounds and miss them by little.
_NUMBERS = st.sampled_from(
    (None, float("nan"), float("inf"), float("-inf"), -1.0, -0.0, 0.0, 9.0, 9.5, 10.0, 10.5, 1e300)
)
_KEYS = {
    "session": st.sampled_from((*SESSIONS[:4], SATURDAY, SESSIONS[-1])),
    "symbol": st.sampled_from(SYMBOLS),
}
_CELLS = dict.fromkeys(("open", "high", "low", "close", "volume", "amount", "previous_close", "factor"), _NUMBERS)


@st.composite
def dirty_bars(draw: st.DrawFn) -> pa.Table:
    """Any rows; a repeated key is numbered by occurrence, as collection does, then everything is shuffled."""
    row = st.fixed_dictionaries(_KEYS, optional=_CELLS)
    rows = draw(st.lists(row, max_size=12))
    seen: dict[tuple[Session, str], int] = {}
    for each in rows:
        key = (each["session"], each["symbol"])
        each["occurrence"] = seen[key] = seen.get(key, -1) + 1
    return bars(*draw(st.permutations(rows)))


def dirty_prices() -> st.SearchStrategy[pa.Table]:
    row = st.fixed_dictionaries(
        {**_KEYS, "suspended": st.booleans(), "quarantined": st.booleans()}, optional={**_CELLS, "vwap": _NUMBERS}
    )
    return st.lists(row, max_size=12).map(lambda rows: prices(*rows))
