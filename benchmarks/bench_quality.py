"""How long the quality rules take; run as `python benchmarks/bench_quality.py [symbols] [sessions]`."""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.calendars import calendar_named
from quant_pipelines.lake.tables import PRICES, RAW_BARS
from quant_pipelines.markets.market import Quality
from quant_pipelines.quality import PRICE_RULES, RAW_RULES, Facts, judge, validate
from quant_pipelines.sources.protocol import Listing

FIRST, LAST = datetime(2022, 1, 4), datetime(2024, 12, 31)


def facts_of(symbols: int, sessions: int) -> Facts:
    calendar = calendar_named("XSHG")
    labels = calendar.sessions(FIRST, LAST)[:sessions]
    listings = tuple(Listing(symbol=f"{600000 + each}.SH", listed=labels[0]) for each in range(symbols))
    return Facts(
        calendar=calendar,
        first=labels[0],
        last=labels[-1],
        last_closed=labels[-1],
        listings=listings,
        quality=Quality(),
    )


def raw_bars(facts: Facts) -> pa.Table:
    labels = np.array(facts.sessions, dtype="datetime64[us]")
    symbols = [each.symbol for each in facts.listings]
    count = labels.size * len(symbols)
    rng = np.random.default_rng(7)
    steps = rng.normal(0.0, 0.02, (labels.size, len(symbols)))
    close = np.round(10.0 * np.exp(np.cumsum(steps, axis=0)), 2).ravel() + 1.0
    opened = np.round(close * np.exp(rng.normal(0.0, 0.01, count)), 2)
    volume = np.round(rng.lognormal(13, 1, count))
    columns: dict[str, Any] = {
        "session": np.repeat(labels, len(symbols)),
        "symbol": pa.array(symbols * labels.size),
        "occurrence": np.zeros(count, dtype=np.int32),
        "open": opened,
        "high": np.maximum(opened, close) + 0.05,
        "low": np.minimum(opened, close) - 0.05,
        "close": close,
        "volume": volume,
        "amount": volume * (opened + close) / 2,
        "previous_close": pa.nulls(count, pa.float64()),
        "factor": np.ones(count),
        "source": pa.repeat(pa.scalar("bench"), count),
        "fetched_at": pa.repeat(pa.scalar(datetime(2025, 1, 1, tzinfo=UTC), pa.timestamp("us", "UTC")), count),
    }
    return pa.table([columns[name] for name in RAW_BARS.names], schema=RAW_BARS.arrow)


def prices(raw: pa.Table) -> pa.Table:
    flags = pa.repeat(pa.scalar(value=False), raw.num_rows)
    known = {name: raw[name] for name in raw.column_names}
    known |= {"vwap": pc.divide(raw["amount"], raw["volume"])}
    known |= dict.fromkeys(("vwap_is_typical", "suspended", "quarantined", "limit_up", "limit_down"), flags)
    return pa.table([known[name] for name in PRICES.names], schema=PRICES.arrow)


def with_one_bad_row(raw: pa.Table) -> pa.Table:
    high = raw["high"].to_numpy().copy()
    high[raw.num_rows // 2] = 0.01
    return raw.set_column(raw.column_names.index("high"), "high", pa.array(high))


def all_bad(raw: pa.Table) -> pa.Table:
    negative = pc.negate(raw["high"])
    return raw.set_column(raw.column_names.index("high"), "high", negative)


def timed(label: str, action: Callable[[], Any]) -> Any:
    begin = time.perf_counter()
    result = action()
    print(f"{label:<48} {time.perf_counter() - begin:7.2f} s")
    return result


def main(symbols: int = 5000, sessions: int = 250) -> None:
    facts = facts_of(symbols, sessions)
    raw = raw_bars(facts)
    print(f"{raw.num_rows:,} rows, {symbols:,} symbols x {len(facts.sessions)} sessions")
    assert timed("judge, clean", lambda: judge(raw, RAW_RULES, facts).hard_rows) == 0
    one = with_one_bad_row(raw)
    assert (
        timed("judge + quarantine, one bad row", lambda: judge(one, RAW_RULES, facts).quarantine_rows()).num_rows == 1
    )
    twice = pa.concat_tables([raw, raw])
    assert timed("judge, every row delivered twice", lambda: judge(twice, RAW_RULES, facts).hard_rows) == raw.num_rows
    bad = all_bad(raw)
    held_out = timed("judge + quarantine, every row broken", lambda: judge(bad, RAW_RULES, facts).quarantine_rows())
    assert held_out.num_rows >= raw.num_rows
    timed("import of Great Expectations, first validate", lambda: validate(raw.slice(0, 10), RAW_RULES, facts))
    assert timed("validate raw_bars", lambda: validate(raw, RAW_RULES, facts)).success
    assert not timed("validate raw_bars, every row broken", lambda: validate(bad, RAW_RULES, facts)).success
    checked = prices(raw)
    assert timed("validate prices", lambda: validate(checked, PRICE_RULES, facts)).success


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
