"""From a source into `raw_bars`: everything it gave, nothing judged yet."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.clock import Clock
from quant_pipelines.errors import DataRejected, QuantPipelinesError
from quant_pipelines.lake import Commit, Fence, Lake, Window, Writer
from quant_pipelines.lake.tables import RAW_BARS
from quant_pipelines.markets import Market
from quant_pipelines.prices.windows import SessionNotClosed, label_window
from quant_pipelines.sources import BarRequest, BarSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What one collection brought: the commit, and where the bars came from."""

    commit: Commit
    bars: pa.Table
    source: str
    degraded: str | None = None


class NoSourceAnswered(DataRejected):
    """The source failed and so did its fallback."""

    code = "QP201"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Fetches sessions of one market, from its source or, where one is configured, from the fallback (S2-70)."""

    market: Market
    source: BarSource
    fallback: BarSource | None
    lake: Lake
    clock: Clock

    def collect(self, window: Window, *, writer: Writer, fence: Fence) -> Collected:
        """Replace the window's raw bars by what the source says now."""
        self._require_closed(window)
        labels = label_window(self.market.sessions_calendar, window)
        bars, answered, degraded = self._fetch(labels)
        rows = _as_raw_bars(bars, source=answered.name, clock=self.clock)
        commit = self.lake.table(self.market.name, RAW_BARS).replace(rows, window=labels, writer=writer, fence=fence)
        return Collected(commit=commit, bars=rows, source=answered.name, degraded=degraded)

    def _fetch(self, labels: Window) -> tuple[pa.Table, BarSource, str | None]:
        request = BarRequest(first=labels.first, last=labels.last, symbols=self._wanted())
        try:
            return self.source.bars(request), self.source, None
        except QuantPipelinesError as error:
            if self.fallback is None:
                raise
            reason = f"{self.source.name} failed: {error}"
            return _answer_instead(self.fallback, request, reason), self.fallback, reason

    def _wanted(self) -> frozenset[str] | None:
        symbols = self.market.universe.symbols
        return None if symbols is None else frozenset(symbols)

    def _require_closed(self, window: Window) -> None:
        calendar = self.market.sessions_calendar
        closes = calendar.close_of(window.last)
        if closes > self.clock.now():
            raise SessionNotClosed(self.market.name, window.last, closes)


def _answer_instead(fallback: BarSource, request: BarRequest, reason: str) -> pa.Table:
    try:
        return fallback.bars(request)
    except QuantPipelinesError as error:
        raise NoSourceAnswered(f"{reason} The fallback {fallback.name} failed too: {error}") from error


def _as_raw_bars(bars: pa.Table, *, source: str, clock: Clock) -> pa.Table:
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
