"""From a source into `raw_bars`: everything it gave, nothing judged yet."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.clock import Clock
from quant_pipelines.lake import Commit, Fence, Lake, Window, Writer
from quant_pipelines.lake.tables import RAW_BARS
from quant_pipelines.lineage import Record, recording, unrecorded
from quant_pipelines.markets import Market
from quant_pipelines.prices.holding import hold_out
from quant_pipelines.prices.windows import SessionNotClosed, label_window
from quant_pipelines.sources import Answering, BarRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What one collection brought: the commit, and where the bars came from."""

    commit: Commit
    bars: pa.Table
    source: str
    degraded: str | None
    quarantined: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Fetches sessions of one market from the source that answers for it."""

    market: Market
    answering: Answering
    lake: Lake
    clock: Clock

    def collect(self, window: Window, *, writer: Writer, fence: Fence, record: Record = unrecorded) -> Collected:
        """Replace the window's raw bars by what the source says now, and its quarantine by what is wrong with them."""
        self._require_closed(window)
        labels = label_window(self.market.sessions_calendar, window)
        source = self.answering.source
        rows = as_raw_bars(self.fetch(labels), source=source.name, clock=self.clock)
        table = self.lake.table(self.market.name, RAW_BARS)
        sessions = {
            *self.market.sessions_calendar.sessions(window.first, window.last),
            *rows[SESSION].unique().to_pylist(),
        }
        announce = recording(record, table, sorted(sessions), (), {"source": source.name})
        commit = table.replace(rows, window=labels, writer=writer, fence=fence, announce=announce)
        findings = hold_out(
            self.market,
            source.listings(),
            rows,
            window,
            lake=self.lake,
            clock=self.clock,
            writer=writer,
            fence=fence,
        )
        return Collected(
            commit=commit,
            bars=rows,
            source=source.name,
            degraded=self.answering.degraded,
            quarantined=findings.hard_rows,
        )

    def fetch(self, labels: Window) -> pa.Table:
        """What the source says of these labels now."""
        symbols = self.market.universe.symbols
        wanted = None if symbols is None else frozenset(symbols)
        return self.answering.source.bars(BarRequest(first=labels.first, last=labels.last, symbols=wanted))

    def _require_closed(self, window: Window) -> None:
        closes = self.market.sessions_calendar.close_of(window.last)
        if closes > self.clock.now():
            raise SessionNotClosed(self.market.name, window.last, closes)


def as_raw_bars(bars: pa.Table, *, source: str, clock: Clock) -> pa.Table:
    """A source's answer as rows of raw_bars."""
    count = bars.num_rows
    provenance = {
        "occurrence": pa.array(occurrences(bars), pa.int32()),
        "source": pa.array(np.full(count, source, dtype=object), pa.string()),
        "fetched_at": pa.array(np.full(count, np.datetime64(clock.now().replace(tzinfo=None), "us"))).cast(
            pa.timestamp("us", "UTC")
        ),
    }
    for name, column in provenance.items():
        bars = bars.append_column(name, column)
    return bars.select(RAW_BARS.names).cast(RAW_BARS.arrow)


def occurrences(bars: pa.Table) -> np.ndarray:
    """0, 1, 2, ... within each run of equal keys; bars are sorted by (session, symbol)."""
    if bars.num_rows == 0:
        return np.empty(0, dtype=np.int32)
    sessions = bars[SESSION].to_numpy()
    symbols = bars[SYMBOL].combine_chunks().dictionary_encode().indices.to_numpy()
    starts = np.ones(bars.num_rows, dtype=bool)
    starts[1:] = (sessions[1:] != sessions[:-1]) | (symbols[1:] != symbols[:-1])
    positions = np.arange(bars.num_rows)
    return (positions - np.maximum.accumulate(np.where(starts, positions, 0))).astype(np.int32)
