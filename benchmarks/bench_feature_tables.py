"""Feature tables end to end: prices in the lake to published factors, against writing those factors to the lake.

    python benchmarks/bench_feature_tables.py [--symbols 800] [--sessions 2000]

Ratios are of CPU time unless a line says wall; quote wall figures from a quiet machine only.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from synthetic_market import measure, verdict

from quant_pipelines.calendars import Session
from quant_pipelines.clock import SystemClock
from quant_pipelines.feature_tables import FeaturePublisher, Memory, judge_features
from quant_pipelines.features.indicators.engine import IndicatorSettings
from quant_pipelines.features.registry import FeatureSet
from quant_pipelines.features.standard import alpha158_set, indicators_set
from quant_pipelines.lake import Lake, Table, Window, Writer, no_fence
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.markets import Market, load_markets

WRITER = Writer("benchmark")
ROUNDS = 3
# Few indicators come of a read of all the columns of prices, so reading weighs more there than with 158 factors.
PROMISED = {"alpha158": 1.4, "indicators": 2.0}
PROJECT = Path(__file__).parents[1]


def prices_of(sessions: list[Session], symbols: int) -> pa.Table:
    """Random bars of every symbol in every session, a fiftieth of them suspended, in the form of the prices table."""
    random = np.random.default_rng(len(sessions))
    shape = (len(sessions), symbols)
    close = 20 * np.exp(np.cumsum(random.normal(0, 0.02, shape), axis=0))
    opened = close * np.exp(random.normal(0, 0.01, shape))
    high, low = np.maximum(opened, close) * 1.01, np.minimum(opened, close) * 0.99
    volume = random.lognormal(12, 0.5, shape)
    quiet = random.random(shape) < 0.02
    bars = {"open": opened, "high": high, "low": low, "close": close, "volume": volume, "vwap": (high + low) / 2}
    columns = {name: pa.array(np.where(quiet, np.nan, each).ravel(), from_pandas=True) for name, each in bars.items()}
    rows = close.size
    columns |= {
        "session": pa.array(np.repeat(np.array(sessions, "datetime64[us]"), symbols)),
        "symbol": pa.array(np.tile([f"S{number:05d}" for number in range(symbols)], len(sessions))),
        "factor": pa.array(np.ones(rows)),
        "suspended": pa.array(quiet.ravel()),
        "quarantined": pa.array(np.zeros(rows, bool)),
        "source": pa.array(["benchmark"] * rows),
    }
    empty = {name: pa.nulls(rows, PRICES.arrow.field(name).type) for name in PRICES.names if name not in columns}
    return pa.table(columns | empty).select(PRICES.names)


@contextmanager
def published(market: Market, symbols: int, sessions: list[Session]) -> Iterator[Lake]:
    """A lake that holds the prices of all sessions but the last."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(folder, clock=SystemClock())
        for begin in range(0, len(sessions), 250):
            part = sessions[begin : begin + 250]
            lake.table(market.name, PRICES).replace(
                prices_of(part, symbols), window=Window(part[0], part[-1]), writer=WRITER
            )
        yield lake


def whole(market: Market, features: FeatureSet, symbols: int, sessions: list[Session]) -> None:
    """Publish everything, then write the very same rows into another lake; more than once."""
    # In the first round kernels may compile and the system hands out memory that nobody touched before.
    memory = Memory()
    pairs = [_round(market, features, symbols, sessions, memory) for _ in range(1 + ROUNDS)][1:]
    rows = symbols * len(sessions)
    walls = [wall for wall, _everything, _writing in pairs]
    ratio = statistics.median(everything / writing for _wall, everything, writing in pairs)
    print(f"{features.name}: {rows:,} rows, {statistics.median(walls):.1f} s wall")
    verdict(
        f"{features.name}: prices to published table over writing it", ratio, PROMISED[features.name], at_least=False
    )


def _round(
    market: Market, features: FeatureSet, symbols: int, sessions: list[Session], memory: Memory
) -> tuple[float, float, float]:
    """Wall seconds of publishing, its CPU seconds, and the CPU seconds of only writing."""
    with published(market, symbols, sessions) as lake, tempfile.TemporaryDirectory() as folder:
        publisher = FeaturePublisher(market=market, features=features, lake=lake, memory=memory)
        target = Lake(folder, clock=SystemClock()).table(market.name, publisher.table.schema)
        parts = [_part(publisher, target, chunk) for chunk in publisher.chunks(Window(sessions[0], sessions[-1]))]
    wall, everything, writing = (sum(each) for each in zip(*parts, strict=True))
    return wall, everything, writing


def _part(publisher: FeaturePublisher, target: Table, chunk: Window) -> tuple[float, float, float]:
    made: list[pa.Table] = []
    wall, everything = measure(
        lambda: made.append(publisher.publish(chunk, writer=WRITER, fence=no_fence).rows), rounds=1
    )
    _wall, writing = measure(lambda: target.replace(made[0], window=chunk, writer=WRITER), rounds=1)
    return wall, everything, writing


def one_more(market: Market, lake: Lake, features: FeatureSet, session: Session, symbols: int) -> None:
    lake.table(market.name, PRICES).replace(
        prices_of([session], symbols), window=Window(session, session), writer=WRITER
    )
    publisher = FeaturePublisher(market=market, features=features, lake=lake)
    day = Window(session, session)
    wall, _cpu = measure(lambda: publisher.publish(day, writer=WRITER, fence=no_fence), rounds=1)
    verdict(f"{features.name}: append a session of {symbols} symbols, wall s", wall, 1, at_least=False)
    wall, _cpu = measure(lambda: judge_features(publisher, day, seed=1), rounds=1)
    print(f"{features.name}: all its checks after that append: {wall:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=800)
    parser.add_argument("--sessions", type=int, default=2000)
    chosen = parser.parse_args()
    market = load_markets(PROJECT / "markets.yaml")["us"]
    calendar = market.sessions_calendar
    all_of_it = calendar.sessions(market.begins, market.begins + timedelta(days=2 * chosen.sessions))
    sessions, last = all_of_it[: chosen.sessions], all_of_it[chosen.sessions]
    for features in (alpha158_set(), indicators_set(IndicatorSettings(sessions_per_year=252))):
        whole(market, features, chosen.symbols, sessions)
    for features in (alpha158_set(), indicators_set(IndicatorSettings(sessions_per_year=252))):
        with published(market, 5_000, sessions[-250:]) as lake:
            publisher = FeaturePublisher(market=market, features=features, lake=lake)
            publisher.publish(Window(sessions[-20], sessions[-1]), writer=WRITER, fence=no_fence)
            one_more(market, lake, features, last, 5_000)


if __name__ == "__main__":
    main()
