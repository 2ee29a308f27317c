"""Labels end to end: prices in the lake to published labels, against reading the same prices and writing the rows.

    python benchmarks/bench_labels.py [--symbols 800] [--sessions 1000]

Ratios are of CPU time unless a line says wall; quote wall figures from a quiet machine only.
"""

import argparse
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
from bench_feature_tables import WRITER, prices_of, published
from synthetic_market import measure, verdict

from quant_pipelines.calendars import Session
from quant_pipelines.clock import SystemClock
from quant_pipelines.label_tables import LabelPublisher, judge_labels
from quant_pipelines.labels import Venue
from quant_pipelines.lake import Lake, Window, no_fence
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.markets import Market, TradingRules, load_markets, load_rules

PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Listed:
    """A symbol that has always been there."""

    symbol: str
    listed: Session
    delisted: Session | None = None


def publisher_of(market: Market, lake: Lake, symbols: int) -> LabelPublisher:
    listings = [Listed(f"S{number:05d}", market.begins) for number in range(symbols)]
    rules = TradingRules(load_rules(market.rules), market.sessions_calendar)
    venue = Venue(rules=rules, listings=listings, prices_are_raw=True)
    return LabelPublisher(market=market, venue=venue, lake=lake)


def whole(market: Market, lake: Lake, symbols: int, sessions: list[Session]) -> None:
    """Publish everything; then read the prices again, and write the very same rows into another lake."""
    publisher, window = publisher_of(market, lake, symbols), Window(sessions[0], sessions[-1])
    made: list[tuple[Window, pa.Table]] = []

    def publish() -> None:
        made.extend(
            (chunk, publisher.publish(chunk, writer=WRITER, fence=no_fence).rows) for chunk in publisher.chunks(window)
        )

    wall, everything = measure(publish, rounds=1)
    columns = ["session", "symbol", "open", "close", "factor", "previous_close", "suspended", "quarantined"]
    _wall, reading = measure(lambda: [publisher.prices.read(chunk, columns=columns) for chunk, _ in made])
    with tempfile.TemporaryDirectory() as folder:
        target = Lake(folder, clock=SystemClock()).table(market.name, publisher.table.schema)
        _wall, writing = measure(
            lambda: [target.replace(rows, window=at, writer=WRITER) for at, rows in made], rounds=1
        )
    rows = sum(each.num_rows for _window, each in made)
    print(f"{rows:,} label rows in {len(made)} chunks, {wall:.1f} s wall")
    print(f"over reading the same prices: {everything / reading:.1f}")
    verdict("prices to published labels over writing them", everything / writing, 2, at_least=False)
    wall, _cpu = measure(publish, rounds=1)
    verdict("where all is fresh, wall ms a session", 1000 * wall / len(sessions), 5, at_least=False)


def one_more(market: Market, lake: Lake, symbols: int, sessions: list[Session], following: Session) -> None:
    """A new session of prices closes labels of the sessions before it."""
    lake.table(market.name, PRICES).replace(
        prices_of([following], symbols), window=Window(following, following), writer=WRITER
    )
    publisher, window = publisher_of(market, lake, symbols), Window(sessions[-5], following)
    wall, _cpu = measure(lambda: publisher.publish(window, writer=WRITER, fence=no_fence), rounds=1)
    verdict(f"append a session of {symbols} symbols, wall s", wall, 1, at_least=False)
    wall, _cpu = measure(lambda: judge_labels(publisher, window, clock=SystemClock(), seed=1), rounds=1)
    print(f"all checks after that append: {wall:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=800)
    parser.add_argument("--sessions", type=int, default=1000)
    chosen = parser.parse_args()
    market = load_markets(PROJECT / "markets.yaml")["us"]
    calendar = market.sessions_calendar
    all_of_it = calendar.sessions(market.begins, market.begins + timedelta(days=2 * chosen.sessions))
    sessions, following = all_of_it[: chosen.sessions], all_of_it[chosen.sessions]
    with published(market, chosen.symbols, sessions) as lake:
        whole(market, lake, chosen.symbols, sessions)
        one_more(market, lake, chosen.symbols, sessions, following)


if __name__ == "__main__":
    main()
