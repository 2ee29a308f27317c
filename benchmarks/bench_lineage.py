"""What it costs to put lineage on record, against the publication itself, and to ask it.

    python benchmarks/bench_lineage.py [--symbols 100] [--sessions 2500]

Wall times: recording waits for the disk. Quote them from a quiet machine only.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench_feature_tables import WRITER, published
from bench_labels import publisher_of
from synthetic_market import measure, verdict

from quant_pipelines.clock import SystemClock
from quant_pipelines.feature_tables import FeaturePublisher
from quant_pipelines.features.indicators.engine import IndicatorSettings
from quant_pipelines.features.standard import alpha158_set, indicators_set
from quant_pipelines.journal import sqlite_url
from quant_pipelines.lake import Window, no_fence
from quant_pipelines.lineage import Lineage, Node
from quant_pipelines.markets import load_markets

PROJECT = Path(__file__).parents[1]


class Timed:
    """Records, and adds up how long that took."""

    def __init__(self, lineage: Lineage) -> None:
        self.lineage, self.seconds, self.nodes = lineage, 0.0, 0

    def __call__(self, node: Node) -> None:
        begun = time.perf_counter()
        self.lineage.record(node)
        self.seconds += time.perf_counter() - begun
        self.nodes += 1


def publish_all(publisher: Any, window: Window, record: Callable[[Node], object]) -> None:
    for chunk in publisher.chunks(window):
        publisher.publish(chunk, writer=WRITER, fence=no_fence, record=record)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--sessions", type=int, default=2500)
    chosen = parser.parse_args()
    market = load_markets(PROJECT / "markets.yaml")["us"]
    all_of_it = market.sessions_calendar.sessions(market.begins, market.begins + timedelta(days=2 * chosen.sessions))
    sessions = all_of_it[: chosen.sessions]
    window = Window(sessions[0], sessions[-1])
    with published(market, chosen.symbols, sessions) as lake, tempfile.TemporaryDirectory() as folder:
        lineage = Lineage(sqlite_url(Path(folder) / "journal.db"), clock=SystemClock())
        publishers = {
            "labels": publisher_of(market, lake, chosen.symbols),
            "alpha158": FeaturePublisher(market=market, features=alpha158_set(), lake=lake),
            "indicators": FeaturePublisher(
                market=market, features=indicators_set(IndicatorSettings(sessions_per_year=252)), lake=lake
            ),
        }
        for name, publisher in publishers.items():
            for what in ("new", "fresh"):
                timed = Timed(lineage)
                wall, _cpu = measure(lambda each=publisher, to=timed: publish_all(each, window, to), rounds=1)
                each = 1000 * timed.seconds / len(sessions)
                verdict(f"{name}, {what}: ms a session on record", each, 1, at_least=False)
                print(f"{name}, {what}: {timed.nodes} nodes, {timed.seconds / wall:.2%} of {wall:.1f} s")
        one_day = Window(sessions[-1], sessions[-1])
        timed = Timed(lineage)
        publishers["indicators"].publish(one_day, writer=WRITER, fence=no_fence, record=timed)
        print(f"one session that looks back on all {len(sessions)}: {1000 * timed.seconds:.1f} ms")
        wall, _cpu = measure(lambda: lineage.dependents(market.name, sessions[0], table="prices"), rounds=1)
        print(f"everything that was made of the first session of prices: {wall:.2f} s")
        size = sum(each.stat().st_size for each in Path(folder).iterdir())
        print(f"the database: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
