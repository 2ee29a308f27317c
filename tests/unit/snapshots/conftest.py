"""A lake with prices, features and labels of a small market, and builders of snapshots over it."""

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from quant_pipelines.clock import FixedClock
from quant_pipelines.feature_tables import FeaturePublisher
from quant_pipelines.features.custom import custom_set, expression
from quant_pipelines.features.registry import FeatureRegistry
from quant_pipelines.features.standard import alpha158_set
from quant_pipelines.labels import KEY, LABEL_SETS, ROWS, Venue, label_rows
from quant_pipelines.lake import Lake, Window, Writer, no_fence
from quant_pipelines.lake.schemas import Column, TableSchema
from quant_pipelines.lake.storage import LocalStore
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.markets import Market, TradingRules, load_rules
from quant_pipelines.snapshots import Maker, SnapshotBuilder, SnapshotStore
from quant_pipelines.sources import Listing
from quant_pipelines.strategies import Strategy

NOW = datetime(2024, 6, 28, 20, tzinfo=UTC)
CLOCK = FixedClock(NOW)
WRITER = Writer("test")
SINCE = datetime(2024, 1, 1, tzinfo=UTC)
SESSIONS = 160
LABELS = TableSchema(
    "labels", "As declared.", key=KEY, columns=tuple(Column(f.name, f.type, "", nullable=f.nullable) for f in ROWS)
)
CUSTOM = custom_set(
    expression("pull_back", "$close / Max($high, 5) - 1", "Close against the highest high.", SINCE),
    expression("level", "$close", "Close.", SINCE),
)
REGISTRY = FeatureRegistry([alpha158_set(), CUSTOM])
SPANS = {name: each.span_sessions for name, each in LABEL_SETS.items()}


def market(**changes: Any) -> Market:
    entry = {
        "name": "tiny", "description": "A tiny market.", "calendar": "XSHG", "currency": "CNY",
        "first_session": "2023-01-03", "source": {"kind": "synthetic"}, "missing_bar": "suspended", "rules": "a_share",
    }  # fmt: skip
    return Market(**(entry | changes))


def strategy(**changes: Any) -> Strategy:
    entry = {
        "name": "s", "description": "A test.", "market": "tiny", "features": ["custom_features", "KMID", "KLEN"],
        "label_set": "direction3", "model": {"kind": "lightgbm"}, "training": {"window": {"sessions": 120}},
    }  # fmt: skip
    return Strategy(**(entry | changes))


@dataclass
class Scene:
    """Prices as matrices of (sessions x symbols): NaN closes are suspended, False in `listed` are no rows."""

    folder: Path
    market: Market = field(default_factory=market)
    symbols: int = 6
    seed: int = 11

    def __post_init__(self) -> None:
        self.lake = Lake(str(self.folder / "lake"), clock=CLOCK)
        self.store = SnapshotStore(LocalStore(self.folder / "snapshots"), threads=2)
        self.sessions = self.market.sessions_calendar.sessions(self.market.begins, datetime(2024, 3, 1))[:SESSIONS]
        random = np.random.default_rng(self.seed)
        shape = (SESSIONS, self.symbols)
        self.names = [f"60000{number}.SH" for number in range(self.symbols)]
        # On the tick, or nobody knows the price limits.
        close = np.round(20 * np.exp(np.cumsum(random.normal(0, 0.02, shape), axis=0)), 2)
        self.bars = {
            "open": close * np.exp(random.normal(0, 0.01, shape)), "high": close * 1.02, "low": close * 0.98,
            "close": close, "volume": random.lognormal(12, 0.5, shape), "vwap": close, "factor": np.ones(shape),
            "previous_close": np.vstack([close[:1], close[:-1]]),
        }  # fmt: skip
        quiet = random.random(shape) < 0.03
        for name in ("open", "high", "low", "close", "volume", "vwap"):
            self.bars[name][quiet] = np.nan
        # Opens at the limit: what was signalled the session before could not be bought.
        limits = np.round(self.bars["previous_close"] * 1.1, 2)
        locked = (random.random(shape) < 0.03) & ~quiet
        self.bars["open"][locked] = limits[locked]
        self.bars["high"][locked] = np.maximum(self.bars["high"], limits)[locked]
        begins = np.where(np.arange(self.symbols) % 3 == 2, random.integers(5, SESSIONS // 2, self.symbols), 0)
        self.listed = np.arange(SESSIONS)[:, None] >= begins[None, :]
        if self.market.missing_bar == "gap":
            self.listed &= ~quiet

    @property
    def all(self) -> Window:
        return Window(self.sessions[0], self.sessions[-1])

    @property
    def prices(self) -> pa.Table:
        at, who = np.nonzero(self.listed)
        columns = {name: pa.array(each[self.listed], from_pandas=True) for name, each in self.bars.items()}
        columns |= {
            "session": pa.array(np.array(self.sessions, "datetime64[us]")[at]),
            "symbol": pa.array([self.names[number] for number in who]),
            "suspended": pa.array(np.isnan(self.bars["close"][self.listed])),
            "quarantined": pa.array(np.zeros(at.size, bool)),
        }
        empty = {name: pa.nulls(at.size, PRICES.arrow.field(name).type) for name in PRICES.names if name not in columns}
        return pa.table(columns | empty).select(PRICES.names).cast(PRICES.arrow)

    def publish_prices(self) -> None:
        self.lake.table("tiny", PRICES).replace(self.prices, window=self.all, writer=WRITER)

    def publish_features(self) -> None:
        for features in REGISTRY.sets:
            publisher = FeaturePublisher(market=self.market, features=features, lake=self.lake)
            publisher.publish(self.all, writer=WRITER, fence=no_fence)

    def publish_labels(self, through: int = SESSIONS - 1) -> None:
        listings = [Listing(symbol=name, listed=datetime(2015, 1, 5)) for name in self.names]
        rules = TradingRules(load_rules("a_share"), self.market.sessions_calendar)
        venue = Venue(rules=rules, listings=listings, prices_are_raw=True)
        rows = label_rows(self.prices, list(LABEL_SETS.values()), venue, through=self.sessions[through])
        window = Window(self.sessions[0], self.sessions[through])
        self.lake.table("tiny", LABELS).replace(rows, window=window, writer=WRITER)

    def publish(self) -> "Scene":
        self.publish_prices()
        self.publish_features()
        self.publish_labels()
        return self

    def builder(self, **changes: Any) -> SnapshotBuilder:
        values = {
            "market": self.market, "registry": REGISTRY, "lake": self.lake, "store": self.store, "label_spans": SPANS,
            "maker": Maker("test", "code"), "clock": CLOCK, "threads": 2,
        }  # fmt: skip
        return SnapshotBuilder(**(values | changes))


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """One lake for the tests that change nothing in it."""
    return Scene(tmp_path_factory.mktemp("scene")).publish()


@pytest.fixture
def scene(tmp_path: Path, published: Scene) -> Scene:
    """A lake of one's own, copied: publishing takes seconds."""
    shutil.copytree(published.folder / "lake", tmp_path / "lake")
    return Scene(tmp_path)
