"""A lake with the prices of a small market: late listings, a delisting, suspensions, factors."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from quant_pipelines.clock import SystemClock
from quant_pipelines.label_tables import LabelPublisher
from quant_pipelines.labels import Venue
from quant_pipelines.lake import Lake, Window, Writer, no_fence
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.lineage import Lineage, unrecorded
from quant_pipelines.markets import Market, TradingRules, load_rules
from quant_pipelines.sources import Listing
from tests.bars import market

WRITER = Writer("test")
SESSIONS = 40
SYMBOLS = ("000002.SZ", "300003.SZ", "600001.SH", "688004.SH")


@dataclass
class Scene:
    """Prices as matrices of (sessions x symbols); NaN closes are suspended, False in `listed` are no rows."""

    folder: Path
    market: Market
    seed: int = 3
    left: dict[int, int] = field(default_factory=lambda: {1: 25})

    def __post_init__(self):
        self.lake = Lake(str(self.folder / "lake"), clock=SystemClock())
        calendar = self.market.sessions_calendar
        self.sessions = calendar.sessions(self.market.begins, datetime(2024, 12, 31))[:SESSIONS]
        random = np.random.default_rng(self.seed)
        shape = (SESSIONS, len(SYMBOLS))
        self.close = np.round(20 * np.exp(np.cumsum(random.normal(0, 0.01, shape), axis=0)), 2)
        self.close[random.random(shape) < 0.08] = np.nan
        self.factor = np.cumprod(np.where(random.random(shape) < 0.05, 1.1, 1.0), axis=0)
        self.begins = random.integers(0, SESSIONS // 3, len(SYMBOLS)) * (random.random(len(SYMBOLS)) < 0.5)
        days = np.arange(SESSIONS)[:, None]
        ends = np.array([self.left.get(number, SESSIONS) for number in range(len(SYMBOLS))])
        self.listed = (days >= self.begins[None, :]) & (days <= ends[None, :])
        if self.market.missing_bar == "gap":
            self.listed &= ~np.isnan(self.close)

    @property
    def all(self) -> Window:
        return Window(self.sessions[0], self.sessions[-1])

    def window(self, first: int, last: int) -> Window:
        return Window(self.sessions[first], self.sessions[last])

    def rows(self, first: int, last: int) -> pa.Table:
        cells = np.zeros_like(self.listed)
        cells[first : last + 1] = self.listed[first : last + 1]
        at, who = np.nonzero(cells)
        values = pa.array(self.close[cells], from_pandas=True)
        columns = dict.fromkeys(("open", "high", "low", "close", "previous_close", "vwap"), values) | {
            "factor": pa.array(self.factor[cells]),
            "session": pa.array(np.array(self.sessions, "datetime64[us]")[at]),
            "symbol": pa.array([SYMBOLS[number] for number in who], pa.string()),
            "suspended": pa.array(np.isnan(self.close[cells])),
            "quarantined": pa.array(np.zeros(at.size, bool)),
        }
        empty = {n: pa.nulls(at.size, PRICES.arrow.field(n).type) for n in PRICES.names if n not in columns}
        return pa.table(columns | empty).select(PRICES.names).cast(PRICES.arrow)

    def arrive(self, first: int = 0, last: int = SESSIONS - 1) -> None:
        """Prices of these sessions are published."""
        self.lake.table("m", PRICES).replace(self.rows(first, last), window=self.window(first, last), writer=WRITER)

    def known_on(self, last: int) -> list[Listing]:
        """Nobody knows today who will be delisted tomorrow, nor who will be listed."""
        return [
            Listing(
                symbol=symbol,
                listed=self.sessions[int(begins)],
                delisted=self.sessions[self.left[at]] if self.left.get(at, SESSIONS) < last else None,
            )
            for at, (symbol, begins) in enumerate(zip(SYMBOLS, self.begins, strict=True))
            if begins <= last
        ]

    def publisher(self, known: int = SESSIONS - 1) -> LabelPublisher:
        rules = TradingRules(load_rules(self.market.rules), self.market.sessions_calendar)
        venue = Venue(rules=rules, listings=self.known_on(known), prices_are_raw=True)
        return LabelPublisher(market=self.market, venue=venue, lake=self.lake)

    def publish(self, first: int = 0, last: int = SESSIONS - 1, *, known: int = SESSIONS - 1, record=unrecorded):
        window = self.window(first, last)
        return self.publisher(known).publish(window, writer=WRITER, fence=no_fence, record=record)

    def lineage(self) -> Lineage:
        return Lineage(f"sqlite:///{self.folder / 'journal.db'}", clock=SystemClock())


@pytest.fixture(params=["suspended", "gap"])
def scene(request, tmp_path):
    return Scene(tmp_path, market(missing_bar=request.param))


@pytest.fixture
def scenes(tmp_path):
    """scenes(seed, missing_bar, left) makes one in a folder of its own."""
    made = iter(range(10_000))

    def make(seed: int, missing_bar: str, left: dict[int, int] | None = None) -> Scene:
        entry = market(missing_bar=missing_bar)
        return Scene(tmp_path / str(next(made)), entry, seed=seed, left={1: 25} if left is None else left)

    return make
