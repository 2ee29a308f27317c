"""A lake with the prices of a small market, written by hand."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from quant_pipelines.clock import SystemClock
from quant_pipelines.feature_tables import FeaturePublisher, Memory
from quant_pipelines.features.registry import FeatureSet
from quant_pipelines.lake import Lake, Window, Writer, no_fence
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.markets import Market

WRITER = Writer("test")
SESSIONS = 140


def market(missing_bar: str) -> Market:
    return Market(
        name="tiny",
        description="A tiny market.",
        calendar="XSHG",
        currency="CNY",
        first_session="2023-01-03",
        source={"kind": "synthetic", "seed": 7, "symbols": 6, "sectors": 2},
        missing_bar=missing_bar,
        rules="a_share",
    )


@dataclass
class Scene:
    """Prices as matrices of (sessions x symbols); NaN closes are suspended, False in `listed` are no rows."""

    folder: Path
    market: Market
    seed: int = 3
    symbols: int = 5
    changes: dict = field(default_factory=dict)

    def __post_init__(self):
        self.lake = Lake(str(self.folder / "lake"), clock=SystemClock())
        calendar = self.market.sessions_calendar
        self.sessions = calendar.sessions(self.market.begins, datetime(2024, 12, 31))[:SESSIONS]
        random = np.random.default_rng(self.seed)
        shape = (SESSIONS, self.symbols)
        close = 20 * np.exp(np.cumsum(random.normal(0, 0.02, shape), axis=0))
        opened = close * np.exp(random.normal(0, 0.01, shape))
        self.bars = {
            "open": opened,
            "high": np.maximum(opened, close) * np.exp(np.abs(random.normal(0, 0.01, shape))),
            "low": np.minimum(opened, close) * np.exp(-np.abs(random.normal(0, 0.01, shape))),
            "close": close,
            "volume": random.lognormal(12, 0.5, shape),
            "vwap": close * np.exp(random.normal(0, 0.005, shape)),
            "factor": np.cumprod(np.where(random.random(shape) < 0.02, 1.1, 1.0), axis=0),
        }
        for each in self.bars.values():
            each[random.random(shape) < 0.04] = np.nan
        quiet = np.isnan(np.stack(list(self.bars.values()))).any(axis=0)
        for each in self.bars.values():
            each[quiet] = np.nan
        begins = random.integers(0, SESSIONS // 2, self.symbols) * (random.random(self.symbols) < 0.6)
        self.listed = np.arange(SESSIONS)[:, None] >= begins[None, :]
        if self.market.missing_bar == "gap":
            self.listed &= ~quiet

    @property
    def all(self) -> Window:
        return Window(self.sessions[0], self.sessions[-1])

    def rows(self, first: int, last: int) -> pa.Table:
        cells = np.zeros_like(self.listed)
        cells[first : last + 1] = self.listed[first : last + 1]
        at, who = np.nonzero(cells)
        columns = {name: pa.array(each[cells], from_pandas=True) for name, each in self.bars.items()}
        columns |= {
            "session": pa.array(np.array(self.sessions, "datetime64[us]")[at]),
            "symbol": pa.array([f"S{number}" for number in who]),
            "suspended": pa.array(np.isnan(self.bars["close"][cells])),
            "quarantined": pa.array(np.zeros(at.size, bool)),
        }
        empty = {n: pa.nulls(at.size, PRICES.arrow.field(n).type) for n in PRICES.names if n not in columns}
        return pa.table(columns | empty).select(PRICES.names).cast(PRICES.arrow)

    def arrive(self, first: int = 0, last: int = SESSIONS - 1) -> None:
        """Prices of these sessions are published."""
        window = Window(self.sessions[first], self.sessions[last])
        self.lake.table("tiny", PRICES).replace(self.rows(first, last), window=window, writer=WRITER)

    def traded(self, first: int = 0, last: int = SESSIONS - 1) -> list[datetime]:
        """The sessions, of these, in which anybody has a row."""
        rows = self.listed.any(axis=1)
        return [self.sessions[at] for at in range(first, last + 1) if rows[at]]

    def publisher(self, features: FeatureSet, threads: int = 1, memory: Memory | None = None) -> FeaturePublisher:
        return FeaturePublisher(market=self.market, features=features, lake=self.lake, threads=threads, memory=memory)

    def publish(self, features: FeatureSet, first: int = 0, last: int = SESSIONS - 1, threads: int = 1):
        window = Window(self.sessions[first], self.sessions[last])
        return self.publisher(features, threads).publish(window, writer=WRITER, fence=no_fence)


@pytest.fixture(params=["suspended", "gap"])
def scene(request, tmp_path):
    return Scene(tmp_path, market(request.param))


@pytest.fixture
def scenes(tmp_path):
    """scenes(seed, missing_bar) makes one in a folder of its own."""
    made = iter(range(10_000))

    def make(seed: int, missing_bar: str) -> Scene:
        return Scene(tmp_path / str(next(made)), market(missing_bar), seed=seed)

    return make
