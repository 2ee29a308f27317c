"""From `prices` to a feature table: what is stale is computed, what is not is left alone."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session
from quant_pipelines.digest import digest_json
from quant_pipelines.feature_tables.panels import PRICE_COLUMNS, PricePanel, price_panel
from quant_pipelines.feature_tables.schema import feature_schema
from quant_pipelines.features.registry import FeatureSet
from quant_pipelines.kernels.placing import place_columns
from quant_pipelines.lake import EMPTY_SESSION, Announce, Commit, Fence, Lake, Table, Window, Writer
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.lineage import Reach, Read, Record, held_in, recording, unrecorded
from quant_pipelines.lineage.made_from import held
from quant_pipelines.markets import Market
from quant_pipelines.prices import chunks, consecutive, look_back

# What a chunk's features may take in memory; the table made of them takes as much again.
CHUNK_BYTES = 768_000_000
# Rows computed at once: one feature of them stays in a core's cache while it is put into the table's order.
PART_ROWS = 32_768
_FEATURE_BYTES = 4


class Memory:
    """Memory for one publication after the other: each takes over what the one before it wrote to.

    Handing out fresh memory takes a system as long as computing what goes into it, and a virtual machine longer.
    """

    def __init__(self) -> None:
        self._block = np.empty(0, np.float32)
        self._taken = 0

    def clear(self) -> None:
        """Give up what was handed out: whoever still holds it will see it change."""
        self._taken = 0

    def empty(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """As np.empty; apart from everything handed out since it was cleared."""
        begin, self._taken = self._taken, self._taken + shape[0] * shape[1]
        if self._taken > self._block.size:
            begin, self._taken = 0, shape[0] * shape[1]
            self._block = np.empty(self._taken, np.float32)
        return self._block[begin : self._taken].reshape(shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFeatures:
    """What one publication did. `rows` are those of the computed sessions; `damaged` says what it healed."""

    window: Window
    computed: Sequence[Session]
    rows: pa.Table
    commits: Sequence[Commit]
    damaged: str | None


@dataclass(frozen=True, kw_only=True)
class FeaturePublisher:
    """Publishes sessions of one feature set of one market.

    With `memory`, the rows of a publication are there until the next one begins.
    """

    market: Market
    features: FeatureSet
    lake: Lake
    threads: int = 1
    memory: Memory | None = None

    @cached_property
    def table(self) -> Table:
        return self.lake.table(self.market.name, feature_schema(self.features))

    @cached_property
    def prices(self) -> Table:
        return self.lake.table(self.market.name, PRICES)

    def chunks(self, window: Window) -> list[Window]:
        """The window in spans whose features fit in memory."""
        names = max(1, self._names_at(window.last))
        each = CHUNK_BYTES // (_FEATURE_BYTES * len(self.features.features) * names)
        return chunks(self.market.sessions_calendar, window, sessions=max(1, each))

    def publish(
        self, window: Window, *, writer: Writer, fence: Fence, record: Record = unrecorded
    ) -> PublishedFeatures:
        """Compute the window's stale sessions from one version of prices, and publish them."""
        if self.memory is not None:
            self.memory.clear()
        version = self.prices.version()
        wanted = self.made_from(window, as_of=version)
        there = held(self.table, window)
        stale = there.stale(wanted)
        if fresh := sorted(wanted.keys() - stale):
            # So that a record that was lost, or began later than the table, fills again.
            self._recording(fresh, version, record)(self.table.session_ids(window))
        rows: list[pa.Table] = []
        commits: list[Commit] = []
        for span in consecutive(self.market.sessions_calendar, stale):
            part = Window(span[0], span[-1])
            made = self.compute(part, as_of=version, made_from=wanted)
            announce = self._recording(span, version, record)
            commits.append(self.table.replace(made, window=part, writer=writer, fence=fence, announce=announce))
            rows.append(made)
        return PublishedFeatures(
            window=window,
            computed=stale,
            rows=pa.concat_tables([self.table.schema.arrow.empty_table(), *rows]),
            commits=commits,
            damaged=there.damaged,
        )

    def _recording(self, sessions: Sequence[Session], as_of: int | None, record: Record) -> Announce:
        read = Window(self.reach(sessions[0]), sessions[-1])
        known = self.market.sessions_calendar.sessions(read.first, read.last)
        contents = held_in(self.prices, known, self.prices.session_ids(read, as_of=as_of))
        reach = Reach(back=self.features.look_back_sessions)
        made = Read(contents=contents, reach=reach)
        return recording(record, self.table, sessions, (made,), {"definitions": self.features.version})

    def compute(self, window: Window, *, as_of: int | None, made_from: Mapping[Session, str]) -> pa.Table:
        """The table's rows for the window, one for each row of prices, in key order."""
        prices = self.read(window, as_of=as_of)
        inside = since(prices, window.first)
        values = self.values(prices, window, as_of=as_of)
        labels = _labels(inside)
        digests = pa.array([made_from[each] for each in labels.names], pa.string())
        made = pa.DictionaryArray.from_arrays(pa.array(labels.codes), digests).cast(pa.string())
        columns = [inside[SESSION], inside[SYMBOL], *(pa.array(row) for row in values), made]
        return pa.table(columns, schema=self.table.schema.arrow)

    def read(self, window: Window, *, as_of: int | None = None, symbols: Collection[str] | None = None) -> pa.Table:
        """The rows of prices that the window's features are made from."""
        reach = Window(self.reach(window.first), window.last)
        return self.prices.read(reach, columns=PRICE_COLUMNS, symbols=symbols, as_of=as_of)

    def values(self, prices: pa.Table, window: Window, *, as_of: int | None = None) -> NDArray[np.float32]:
        """One row per feature, one column for each price row of the window; later rows must not be there."""
        reach = Window(self.reach(window.first), window.last)
        sessions = self.market.sessions_calendar.sessions(reach.first, reach.last)
        laid_out = price_panel(prices, sessions, begun=self._begun(prices, reach, as_of))
        begin = prices.num_rows - since(prices, window.first).num_rows
        shape = (len(self.features.features), prices.num_rows - begin)
        out = np.empty(shape, np.float32) if self.memory is None else self.memory.empty(shape)
        return _published(self.features, laid_out, begin, out, threads=self.threads)

    def reach(self, session: Session) -> Session:
        """The first session that the features of a session are made from."""
        reach, begins = self.features.look_back_sessions, self.market.begins
        calendar = self.market.sessions_calendar
        if reach is None:
            return calendar.sessions(begins, session)[0]
        return look_back(calendar, session, reach, earliest=begins)

    def made_from(self, window: Window, *, as_of: int | None) -> dict[Session, str]:
        """For each session of the window that has prices: the digest of everything its features are made from."""
        calendar, version = self.market.sessions_calendar, self.features.version
        ids = self.prices.session_ids(Window(self.reach(window.first), window.last), as_of=as_of)
        sessions = calendar.sessions(self.reach(window.first), window.last)
        reach = self.features.look_back_sessions
        if reach is None:
            return {each: digest for each, digest in _running(version, sessions, ids) if each in window}
        held = [ids.get(each, EMPTY_SESSION) for each in sessions]
        return {
            each: digest_json([version, reach, held[max(0, place - reach) : place + 1]])
            for place, each in enumerate(sessions)
            if each in ids and each in window
        }

    def _begun(self, prices: pa.Table, read: Window, as_of: int | None) -> set[str]:
        """Symbols that traded before the first session read and not in it.

        Where missing bars are published as suspended there are none: a listed symbol has a row in every session.
        """
        if self.market.missing_bar == "suspended" or prices.num_rows == 0 or read.first <= self.market.begins:
            return set()
        opening = prices[SESSION].to_numpy() == np.datetime64(read.first, "us")
        there = set(prices[SYMBOL].filter(pa.array(opening)).to_pylist())
        doubtful = set(prices[SYMBOL].unique().to_pylist()) - there
        if not doubtful:
            return set()
        before = Window(self.market.begins, self.market.sessions_calendar.offset(read.first, -1))
        earlier = self.prices.read(before, columns=[SYMBOL], symbols=doubtful, as_of=as_of)
        return set(earlier[SYMBOL].unique().to_pylist())

    def _names_at(self, session: Session) -> int:
        ids = self.prices.session_ids(Window(self.market.begins, session))
        newest = max(ids, default=None)
        return 0 if newest is None else self.prices.read(Window(newest, newest), columns=[SYMBOL]).num_rows


@dataclass(frozen=True, slots=True)
class _Labels:
    """The sessions of a table in session order: names, first row of each, and each row's session by number."""

    names: list[Session]
    starts: NDArray[np.int64]
    codes: NDArray[np.int64]


def since(rows: pa.Table, first: Session) -> pa.Table:
    """The rows of this and later sessions, of rows in session order."""
    return rows.slice(int(np.searchsorted(rows[SESSION].to_numpy(), np.datetime64(first, "us"))))


def _labels(table: pa.Table) -> _Labels:
    labels = table[SESSION].to_numpy()
    new = np.append(True, labels[1:] != labels[:-1])[: labels.size]
    starts = np.flatnonzero(new)
    names: list[Session] = labels[starts].astype("datetime64[us]").astype(object).tolist()
    return _Labels(names, starts, np.cumsum(new) - 1)


def _running(version: str, sessions: Sequence[Session], ids: Mapping[Session, str]) -> Iterator[tuple[Session, str]]:
    """Each session's digest carries all before it."""
    digest = version
    for session in sessions:
        digest = digest_json([digest, ids.get(session, EMPTY_SESSION)])
        if session in ids:
            yield session, digest


def _published(
    features: FeatureSet, laid_out: PricePanel, begin: int, out: NDArray[np.float32], *, threads: int
) -> NDArray[np.float32]:
    """One row per feature, one column per price row from `begin` on; computed some symbols at a time."""
    wanted = laid_out.places[begin:]
    order = np.argsort(wanted)

    def fill(first: int, last: int) -> None:
        offset, end = laid_out.panel.offsets[[first, last]]
        bounds = np.searchsorted(wanted, (offset, end), sorter=order)
        targets = np.sort(order[slice(*bounds)])
        place_columns(features.published(laid_out.panel.between(first, last)), wanted[targets] - offset, targets, out)

    # Parts write to columns of their own, so their order is free; the kernels let go of the interpreter lock.
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(fill, *part) for part in _parts(laid_out.panel.offsets)]:
            done.result()
    return out


def _parts(offsets: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """First and last symbol of each part, as many as have `PART_ROWS` rows together."""
    first = 0
    while first < offsets.size - 1:
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + PART_ROWS, side="right")) - 1)
        yield first, last
        first = last
