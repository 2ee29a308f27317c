"""From `prices` to `labels`: rows whose span has closed since they were last looked at are added, the rest stays."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session
from quant_pipelines.digest import digest_json
from quant_pipelines.label_tables.listed import ListingHistory
from quant_pipelines.label_tables.schema import LABELS
from quant_pipelines.label_tables.spans import Spans, closed_after
from quant_pipelines.labels import LABEL_SET, LABEL_SETS, LabelSet, Venue, label_rows
from quant_pipelines.lake import EMPTY_SESSION, Announce, Commit, Fence, Lake, Table, Window, Writer
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.lineage import Reach, Read, Record, held_in, recording, unrecorded
from quant_pipelines.lineage.made_from import MADE_FROM, held
from quant_pipelines.markets import Market
from quant_pipelines.prices import chunks, consecutive, look_ahead

# The edition of the numbers: raise it when they change while definitions and inputs stay.
EDITION = 1
_STANDARD = tuple(LABEL_SETS.values())
_VERSION_DIGITS = 12
# Which labels these are: another edition or definition is another code version.
DEFINITIONS = digest_json([EDITION, [asdict(each) for each in _STANDARD]])[:_VERSION_DIGITS]
# Rows computed together; each takes about 400 bytes while it is made, sorted and written.
CHUNK_ROWS = 1_500_000
_PRICE_COLUMNS = (SESSION, SYMBOL, "open", "close", "factor", "previous_close", "suspended", "quarantined")


def longest_span(sets: Sequence[LabelSet] = _STANDARD) -> int:
    """How many sessions after a signal all of its labels have closed."""
    return max(each.span_sessions for each in sets)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedLabels:
    """What one publication did. `waiting` are label sets by the session whose span in them is still open."""

    window: Window
    computed: Sequence[Session]
    rows: pa.Table
    waiting: Mapping[Session, tuple[str, ...]]
    commits: Sequence[Commit]
    damaged: str | None


@dataclass(frozen=True, kw_only=True)
class LabelPublisher:
    """Publishes sessions of one market's labels."""

    market: Market
    venue: Venue
    lake: Lake
    sets: tuple[LabelSet, ...] = _STANDARD

    @cached_property
    def table(self) -> Table:
        return self.lake.table(self.market.name, LABELS)

    @cached_property
    def prices(self) -> Table:
        return self.lake.table(self.market.name, PRICES)

    def chunks(self, window: Window) -> list[Window]:
        """The window in spans whose rows fit in memory."""
        each = max(1, len(self.venue.listings)) * len(self.sets)
        return chunks(self.market.sessions_calendar, window, sessions=max(1, CHUNK_ROWS // each))

    def publish(self, window: Window, *, writer: Writer, fence: Fence, record: Record = unrecorded) -> PublishedLabels:
        """Make the window's labels anew where prices changed or spans closed, from one version of prices."""
        version = self.prices.version()
        known = self._known(window, version)
        wanted, there = self._made_from(window, known), held(self.table, window)
        # A session that lost its prices loses its labels, and one whose span opened again those of that span.
        stale = there.stale(wanted)
        if fresh := sorted(wanted.keys() - stale):
            self._recording(fresh, known, record)(self.table.session_ids(window))
        rows: list[pa.Table] = []
        commits: list[Commit] = []
        for span in consecutive(self.market.sessions_calendar, stale):
            part = Window(span[0], span[-1])
            made = self._with_origin(self._computed(part, known.spans, as_of=version), wanted)
            announce = self._recording(span, known, record)
            commits.append(self.table.replace(made, window=part, writer=writer, fence=fence, announce=announce))
            rows.append(made)
        return PublishedLabels(
            window=window,
            computed=stale,
            rows=pa.concat_tables([LABELS.arrow.empty_table(), *rows]),
            waiting=self._waiting(window, known),
            commits=commits,
            damaged=there.damaged,
        )

    def fresh(self, window: Window) -> tuple[list[Session], list[Session]]:
        """The sessions whose rows are made from prices as they are now, and those that should be made anew."""
        wanted = self._made_from(window, self._known(window, self.prices.version()))
        stale = held(self.table, window).stale(wanted)
        return sorted(wanted.keys() - stale), stale

    def spans(self, window: Window) -> Spans:
        """Which label sets have closed for each session of the window, as far as prices tell."""
        return self._known(window, self.prices.version()).spans

    def anew(self, signal: Session, *, through: Session) -> pa.Table:
        """The signal's label rows as prices give them that end with a session, in key order."""
        prices = self.prices.read(Window(signal, through), columns=_PRICE_COLUMNS)
        rows = label_rows(prices, self.sets, self.venue, through=through)
        mine = rows.filter(pa.array(rows[SESSION].to_numpy() == np.datetime64(signal, "us")))
        return mine.sort_by([(SYMBOL, "ascending"), (LABEL_SET, "ascending")])

    def _known(self, window: Window, as_of: int | None) -> "_Known":
        calendar = self.market.sessions_calendar
        last = look_ahead(calendar, window.last, longest_span(self.sets))
        ids = self.prices.session_ids(Window(window.first, last), as_of=as_of)
        sessions = calendar.sessions(window.first, last)
        after = closed_after(sessions, ids, gaps_are_known=self.market.missing_bar == "gap")
        return _Known(sessions, ids, Spans(self.sets, after))

    def _made_from(self, window: Window, known: "_Known") -> dict[Session, str]:
        """For each session with a closed label: the digest of everything its rows are made from."""
        digests: dict[Session, str] = {}
        for place, session in enumerate(known.sessions):
            reach = known.spans.reach(session)
            if session not in window or session not in known.ids or reach == 0:
                continue
            used = known.sessions[place : place + reach + 1]
            held = [known.ids.get(each, EMPTY_SESSION) for each in used]
            digests[session] = digest_json([self._recipe(reach), self._listings.known_by(used[-1]), held])
        return digests

    def _recipe(self, reach: int) -> str:
        """The definitions of the labels that close within a reach."""
        return self._recipes[reach]

    @cached_property
    def _recipes(self) -> dict[int, str]:
        rules = self.venue.rules.book.model_dump(mode="json")
        facts = [EDITION, rules, self.venue.prices_are_raw, self.market.missing_bar]
        reaches = {each.resolves_after for each in self.sets}
        return {
            reach: digest_json([facts, [asdict(each) for each in self.sets if each.resolves_after <= reach]])
            for reach in reaches
        }

    @cached_property
    def _listings(self) -> ListingHistory:
        return ListingHistory.of(self.venue.listings)

    def _computed(self, window: Window, spans: Spans, *, as_of: int | None) -> pa.Table:
        """The closed label rows of the window's signals."""
        through = look_ahead(self.market.sessions_calendar, window.last, spans.longest)
        prices = self.prices.read(Window(window.first, through), columns=_PRICE_COLUMNS, as_of=as_of)
        rows = label_rows(prices, self.sets, self.venue, through=through)
        return rows.filter(pa.array(_closed(rows, spans, window)))

    def _with_origin(self, rows: pa.Table, made_from: Mapping[Session, str]) -> pa.Table:
        sessions, codes = np.unique(rows[SESSION].to_numpy(), return_inverse=True)
        names: list[Session] = sessions.astype("datetime64[us]").astype(object).tolist()
        digests = pa.array([made_from[each] for each in names], pa.string())
        made = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), digests).cast(pa.string())
        return rows.append_column(MADE_FROM, made).cast(LABELS.arrow)

    def _recording(self, sessions: Sequence[Session], known: "_Known", record: Record) -> Announce:
        """One node for the sessions whose labels have closed alike: only so is each one's reach told exactly."""
        nodes = [
            recording(record, self.table, alike, (self._read(alike, reach, known),), self._facts(reach))
            for reach, alike in _by_reach(sessions, known).items()
        ]

        def announce(ids: Mapping[Session, str]) -> None:
            for node in nodes:
                node(ids)

        return announce

    def _read(self, sessions: Sequence[Session], reach: int, known: "_Known") -> Read:
        first, last = known.sessions.index(sessions[0]), known.sessions.index(sessions[-1])
        read = known.sessions[first : last + reach + 1]
        return Read(contents=held_in(self.prices, read, known.ids), reach=Reach(ahead=reach))

    def _facts(self, reach: int) -> dict[str, str]:
        return {"definitions": self._recipe(reach)} if reach else {}

    def _waiting(self, window: Window, known: "_Known") -> dict[Session, tuple[str, ...]]:
        waiting = {
            session: tuple(each.name for each in self.sets if each not in known.spans.closed(session))
            for session in known.sessions
            if session in window and session in known.ids
        }
        return {session: names for session, names in waiting.items() if names}


@dataclass(frozen=True)
class _Known:
    """Prices from the window's first session to the end of its last span: what is there, and what has closed."""

    sessions: Sequence[Session]
    ids: Mapping[Session, str]
    spans: Spans


def _by_reach(sessions: Sequence[Session], known: _Known) -> dict[int, list[Session]]:
    alike: dict[int, list[Session]] = {}
    for session in sessions:
        alike.setdefault(known.spans.reach(session), []).append(session)
    return alike


def _closed(rows: pa.Table, spans: Spans, window: Window) -> np.ndarray:
    """Which rows belong to a signal of the window, and to a label set that has closed for it."""
    sessions, codes = np.unique(rows[SESSION].to_numpy(), return_inverse=True)
    signals: list[Session] = sessions.astype("datetime64[us]").astype(object).tolist()
    names = rows[LABEL_SET].combine_chunks().dictionary_encode()
    known: list[str] = names.dictionary.to_pylist()
    closed = np.zeros((len(signals), max(len(known), 1)), bool)
    for place, signal in enumerate(signals):
        here = {each.name for each in spans.closed(signal)} if signal in window else set[str]()
        closed[place] = [name in here for name in known] or [False]
    return closed[codes, names.indices.to_numpy(zero_copy_only=False)]
