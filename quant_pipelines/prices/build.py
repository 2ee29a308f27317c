"""From `raw_bars` to `prices`: judged, completed with flags, published, and every restatement listed."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.clock import Clock
from quant_pipelines.errors import DataRejected
from quant_pipelines.lake import EMPTY_SESSION, Announce, Commit, Fence, Lake, Table, Window, Writer
from quant_pipelines.lake.schemas import TableSchema
from quant_pipelines.lake.tables import PRICES, RAW_BARS, RESTATEMENTS
from quant_pipelines.lineage import Reach, Read, Record, held_in, recording, unrecorded
from quant_pipelines.markets import Market, TradingRules, load_rules, universe_symbols
from quant_pipelines.prices.grid import Grid
from quant_pipelines.prices.holding import hold_out
from quant_pipelines.prices.restatements import restated
from quant_pipelines.prices.windows import label_window, look_back
from quant_pipelines.quality import RAW_RULES, Findings, facts_for, judge
from quant_pipelines.sources import Listing

# How far back a last traded close is looked for. Beyond it a reference price is null rather than guessed:
# a stock that comes back after months trades against a price the exchange sets, not against its old close.
REFERENCE_SESSIONS = 30
_BAR = ("open", "high", "low", "close", "volume", "amount", "previous_close", "factor")


class HardFindings(DataRejected):
    """Bars broke hard rules, and the market's policy is to block."""

    code = "QP203"

    def __init__(self, market: str, findings: Findings) -> None:
        counts = ", ".join(f"{rule}: {count}" for rule, count in findings.hard_counts().items())
        super().__init__(
            f"{findings.hard_rows} raw bars of {market} broke hard rules ({counts}); they are in its quarantine table. "
            "Correct them at the source and materialise raw_bars again, or set quality.on_hard_finding: quarantine "
            "to publish the rest without them."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What one publication did."""

    commit: Commit
    prices: pa.Table
    quarantined: int
    restatements: pa.Table
    findings: Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Publishes sessions of one market's prices."""

    market: Market
    listings: Sequence[Listing]
    prices_are_raw: bool
    lake: Lake
    clock: Clock

    def _table(self, schema: TableSchema) -> Table:
        return self.lake.table(self.market.name, schema)

    def publish(self, window: Window, *, writer: Writer, fence: Fence, record: Record = unrecorded) -> Published:
        """Judge the window's raw bars, hold out what broke a rule, publish the rest, list what changed."""
        labels = label_window(self.market.sessions_calendar, window)
        version = self._table(RAW_BARS).version()
        raw = self._table(RAW_BARS).read(self._with_look_back(window, labels), as_of=version)
        first = pa.scalar(window.first, raw[SESSION].type)
        inside = raw.filter(pc.greater_equal(raw[SESSION], first))
        findings = hold_out(
            self.market,
            self.listings,
            inside,
            window,
            lake=self.lake,
            clock=self.clock,
            writer=writer,
            fence=fence,
        )
        if findings.hard_rows and self.market.quality.on_hard_finding == "block":
            raise HardFindings(self.market.name, findings)
        earlier = self._trusted(raw.filter(pc.less(raw[SESSION], first)), window)
        prices = self._complete(earlier, inside, findings, window)
        changes = self._list_restatements(prices, window, writer=writer, fence=fence)
        announce = self._recording(window, labels, version, record)
        commit = self._table(PRICES).replace(prices, window=labels, writer=writer, fence=fence, announce=announce)
        return Published(
            commit=commit, prices=prices, quarantined=findings.hard_rows, restatements=changes, findings=findings
        )

    def _recording(self, window: Window, labels: Window, version: int | None, record: Record) -> Announce:
        """Of raw bars only sessions of the calendar become prices, so only they are counted."""
        calendar, raw = self.market.sessions_calendar, self._table(RAW_BARS)
        reach = self._with_look_back(window, labels)
        ids = raw.session_ids(reach, as_of=version)
        read = Read(
            contents=held_in(raw, calendar.sessions(reach.first, window.last), ids),
            reach=Reach(back=REFERENCE_SESSIONS),
        )
        return recording(record, self._table(PRICES), calendar.sessions(window.first, window.last), (read,), {})

    def _with_look_back(self, window: Window, labels: Window) -> Window:
        calendar = self.market.sessions_calendar
        begin = look_back(calendar, window.first, REFERENCE_SESSIONS, earliest=self.market.begins)
        return Window(begin, labels.last)

    def _trusted(self, earlier: pa.Table, window: Window) -> pa.Table:
        """Look-back rows that may serve as a reference: what would be held out of prices is no reference either."""
        if earlier.num_rows == 0:
            return earlier
        looked_at = Window(earlier[SESSION][0].as_py(), window.first)
        findings = judge(earlier, RAW_RULES, facts_for(self.market, self.listings, looked_at, self.clock))
        return earlier.filter(pa.array(~findings.hard))

    def _complete(self, earlier: pa.Table, inside: pa.Table, findings: Findings, window: Window) -> pa.Table:
        """One row for every listed symbol and session, with flags; suspended and held-out rows carry no price."""
        accepted = inside.filter(pa.array(~findings.hard))
        grid = self._grid(window, earlier)
        bars = grid.spread(pa.concat_tables([earlier, accepted]), _BAR)
        listed = _listed(grid, self.listings)
        traded = grid.mark(accepted)
        held_out = grid.mark(inside.filter(pa.array(findings.hard))) & ~traded
        published = traded | held_out
        if self.market.missing_bar == "suspended":
            published |= listed
        published[grid.session_labels < np.datetime64(window.first, "us")] = False
        reference = _reference_prices(bars, tick=float(self._rules.book.tick) if self.prices_are_raw else None)
        bars["previous_close"] = np.where(np.isnan(bars["previous_close"]), reference, bars["previous_close"])
        columns = _columns(bars, published, traded, held_out) | self._limit_flags(grid, bars, traded, published)
        return _assembled(grid, published, columns, accepted)

    @property
    def _rules(self) -> TradingRules:
        return TradingRules(load_rules(self.market.rules), self.market.sessions_calendar)

    def _limit_flags(
        self, grid: Grid, bars: dict[str, np.ndarray], traded: np.ndarray, published: np.ndarray
    ) -> dict[str, pa.Array]:
        """Null where the vendor adjusted the prices, so that their limits are unknown, and where no limit holds."""
        listed = {listing.symbol: listing.listed for listing in self.listings}
        limits = self._rules.limit_grid(
            grid.sessions, grid.symbols, bars["previous_close"], listed=[listed.get(each) for each in grid.symbols]
        )
        known = np.full(grid.shape, self.prices_are_raw) & traded
        return {
            "limit_up": _flag(bars["close"] >= limits.up, known & np.isfinite(limits.up), published),
            "limit_down": _flag(bars["close"] <= limits.down, known & np.isfinite(limits.down), published),
        }

    def _grid(self, window: Window, earlier: pa.Table) -> Grid:
        sessions = self.market.sessions_calendar.sessions(
            earlier[SESSION][0].as_py() if earlier.num_rows else window.first, window.last
        )
        return Grid(sessions, universe_symbols(self.market.universe, self.listings))

    def _list_restatements(self, prices: pa.Table, window: Window, *, writer: Writer, fence: Fence) -> pa.Table:
        """Written before the prices: a crash in between repeats this list, and never loses it."""
        table = self._table(PRICES)
        old_ids = table.session_ids(window)
        new_ids = table.ids_of(prices)
        versions = {
            session: (old_id, new_ids.get(session, EMPTY_SESSION))
            for session, old_id in old_ids.items()
            if old_id != new_ids.get(session)
        }
        if not versions:
            return RESTATEMENTS.arrow.empty_table()
        span = Window(min(versions), max(versions))
        changes = restated(table.read(span), prices, versions=versions, seen_at=self.clock.now())
        log = self._table(RESTATEMENTS)
        log.replace(_united(log.read(span), changes), window=span, writer=writer, fence=fence)
        return changes


def _united(known: pa.Table, changes: pa.Table) -> pa.Table:
    """The list so far plus what is new in it; finding the same change again adds nothing."""
    key = list(RESTATEMENTS.key)
    fresh = changes.append_column("_row", pa.array(np.arange(changes.num_rows))).join(
        known.select(key), key, join_type="left anti"
    )
    return pa.concat_tables([known, changes.take(fresh["_row"])])


def _listed(grid: Grid, listings: Sequence[Listing]) -> np.ndarray:
    """Whether each symbol was listed in each session."""
    spans = {listing.symbol: listing for listing in listings}
    never = np.datetime64("NaT", "us")
    begins = np.array([np.datetime64(spans[s].listed, "us") if s in spans else never for s in grid.symbols])
    ends = np.array([_end(spans.get(s)) for s in grid.symbols], dtype="datetime64[us]")
    labels = grid.session_labels[:, None]
    return (labels >= begins[None, :]) & (labels <= ends[None, :])


def _end(listing: Listing | None) -> np.datetime64:
    if listing is None:
        return np.datetime64("NaT", "us")
    return np.datetime64(listing.delisted or datetime.max.replace(microsecond=0), "us")


def _reference_prices(bars: dict[str, np.ndarray], *, tick: float | None) -> np.ndarray:
    """The last traded close before each session, corrected by the factor's step (an ex-dividend close is lower)."""
    close = _carried_forward(bars["close"])
    factor = _carried_forward(bars["factor"])
    reference = np.full(close.shape, np.nan)
    step = factor[:-1] / bars["factor"][1:]
    reference[1:] = close[:-1] * np.where(np.isnan(step), 1.0, step)
    return reference if tick is None else np.round(np.round(reference / tick) * tick, 10)


def _carried_forward(matrix: np.ndarray) -> np.ndarray:
    """The last value at or before each session; used for the reference only, never published as a price."""
    rows = np.where(np.isnan(matrix), -1, np.arange(matrix.shape[0])[:, None])
    last = np.maximum.accumulate(rows, axis=0)
    carried = np.take_along_axis(matrix, np.maximum(last, 0), axis=0)
    return np.where(last < 0, np.nan, carried)


def _columns(
    bars: dict[str, np.ndarray], published: np.ndarray, traded: np.ndarray, held_out: np.ndarray
) -> dict[str, pa.Array]:
    values = {name: np.where(traded, matrix, np.nan)[published] for name, matrix in bars.items()}
    typical = (values["high"] + values["low"] + values["close"]) / 3.0
    from_amount = (values["amount"] > 0) & (values["volume"] > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        values["vwap"] = np.where(from_amount, values["amount"] / values["volume"], typical)
    columns = {name: pa.array(column, pa.float64(), from_pandas=True) for name, column in values.items()}
    unpriced = ~traded[published]
    columns["vwap_is_typical"] = pa.array(~from_amount, pa.bool_(), mask=unpriced)
    columns["suspended"] = pa.array(unpriced & ~held_out[published])
    columns["quarantined"] = pa.array(held_out[published])
    return columns


def _flag(raised: np.ndarray, known: np.ndarray, published: np.ndarray) -> pa.Array:
    return pa.array(raised[published], pa.bool_(), mask=~known[published])


def _assembled(grid: Grid, published: np.ndarray, columns: dict[str, pa.Array], accepted: pa.Table) -> pa.Table:
    """The rows with their keys; who delivered a bar and when is copied from the raw row, null where there is none."""
    session, symbol = grid.keys(published)
    row_of_bar = np.full(grid.shape, -1)
    rows, names, inside = grid.cells(accepted)
    row_of_bar[rows[inside], names[inside]] = np.nonzero(inside)[0]
    chosen = row_of_bar[published]
    origin = pa.array(chosen, mask=chosen < 0)
    provenance = {name: accepted[name].take(origin) for name in ("source", "fetched_at")}
    return pa.table({SESSION: session, SYMBOL: symbol, **columns, **provenance}).select(PRICES.names).cast(PRICES.arrow)
