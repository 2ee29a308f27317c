"""`replace`: plan against a version, stage files, commit by compare-and-swap, look again where somebody was faster."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from quant_pipelines.arrays import SESSION
from quant_pipelines.calendars import Session
from quant_pipelines.lake import files
from quant_pipelines.lake.failures import FileDamaged, SessionConflict, TooManyRaces
from quant_pipelines.lake.files import Chosen, SessionRows
from quant_pipelines.lake.ids import content_ids, session_spans
from quant_pipelines.lake.log import Change, FileEntry, Log, RacedError, Snapshot
from quant_pipelines.lake.rows import IncomingRows
from quant_pipelines.lake.schemas import TableSchema
from quant_pipelines.lake.sessions import FileReader, Place
from quant_pipelines.lake.values import Announce, Fence, SessionChange, Writer

ATTEMPTS = 100
_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class PeriodState:
    """A period as a version has it. `damaged` are files of the window that cannot be read, with their sessions."""

    files: Sequence[FileEntry]
    placed: Mapping[Session, Place]
    damaged: Mapping[FileEntry, Sequence[Session]]


@dataclass(frozen=True, slots=True)
class PeriodPlan:
    """What one period needs: files to take out, files to put in, and sessions whose bytes are whole again."""

    removed: Sequence[FileEntry] = ()
    added: Sequence[FileEntry] = ()
    healed: Sequence[Session] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a replacement ended. `crowding` tells how many files each written period has now; `begun` are new ones."""

    base: Snapshot
    version: int
    changed: tuple[SessionChange, ...] = ()
    raced_equal: tuple[Session, ...] = ()
    healed: tuple[Session, ...] = ()
    crowding: Mapping[str, int] = field(default_factory=dict)
    begun: frozenset[str] = frozenset()


@dataclass
class Replacement:
    """One `replace` under way."""

    log: Log
    incoming: IncomingRows
    writer: Writer
    fence: Fence
    announce: Announce
    bytes_written: int = 0
    _wanted: dict[str, dict[Session, str]] = field(default_factory=dict)
    _plans: dict[tuple[str, ...], PeriodPlan] = field(default_factory=dict)

    def run(self) -> Outcome:
        """Commit, or find that there is nothing to do."""
        self.log.ensure_created()
        before: dict[Session, str] | None = None
        for attempt in range(ATTEMPTS):
            base = self.log.current()
            states = self._states(base)
            now = _ids(states, self.incoming)
            # What the first look found is what this writer meant to replace, however often it looks again.
            before = now if before is None else before
            try:
                return self._attempt(base, states, before, now)
            except RacedError:
                time.sleep(min(_PAUSE_SECONDS * (attempt + 1), _LONGEST_PAUSE_SECONDS))
        raise TooManyRaces(self.log.name, ATTEMPTS)

    @property
    def wanted(self) -> dict[Session, str]:
        """The content id of every incoming session; complete once `run` has returned."""
        return {session: content_id for ids in self._wanted.values() for session, content_id in ids.items()}

    def _attempt(
        self, base: Snapshot, states: Mapping[str, PeriodState], before: dict[Session, str], now: dict[Session, str]
    ) -> Outcome:
        plans = {period: self._plan(base, period, state) for period, state in states.items()}
        wanted = self.wanted
        raced_equal = self._require_no_conflict(before, now, wanted)
        changed = tuple(
            SessionChange(session, now.get(session), wanted.get(session))
            for session in sorted(now.keys() | wanted.keys())
            if now.get(session) != wanted.get(session)
        )
        healed = tuple(sorted(session for plan in plans.values() for session in plan.healed))
        added = [file for plan in plans.values() for file in plan.added]
        removed = [file for plan in plans.values() for file in plan.removed]
        # Before the fence: that one is the last word before the commit.
        self.announce(wanted)
        if not added and not removed:
            return Outcome(base=base, version=base.version, raced_equal=raced_equal, healed=healed)
        change = Change(
            operation="replace",
            writer=self.writer,
            added=added,
            removed=removed,
            sessions=changed,
            rows=self._rows_of(changed),
        )
        with self.fence():
            version = self.log.commit(base, change)
        return Outcome(
            base=base,
            version=version,
            changed=changed,
            raced_equal=raced_equal,
            healed=healed,
            crowding={
                period: len(state.files) - len(plans[period].removed) + len(plans[period].added)
                for period, state in states.items()
                if plans[period].added
            },
            begun=frozenset(period for period, state in states.items() if not state.files),
        )

    def _require_no_conflict(
        self, before: dict[Session, str], now: dict[Session, str], wanted: dict[Session, str]
    ) -> tuple[Session, ...]:
        """The sessions that others changed to just what this writer wants; raises where they want something else."""
        equal: list[Session] = []
        for session in sorted(before.keys() | now.keys()):
            if now.get(session) == before.get(session):
                continue
            if now.get(session) != wanted.get(session):
                raise SessionConflict(self.log.name, session, ours=wanted.get(session), theirs=now.get(session))
            equal.append(session)
        return tuple(equal)

    def _rows_of(self, changed: Sequence[SessionChange]) -> int:
        counts = self.incoming.counts
        return sum(counts.get(change.session, 0) for change in changed)

    def _states(self, base: Snapshot) -> dict[str, PeriodState]:
        entries: dict[str, list[FileEntry]] = {period: [] for period in self.incoming.periods}
        for entry in base.within(self.incoming.window):
            entries.setdefault(entry.period, []).append(entry)
        return {period: self._state(base, found) for period, found in sorted(entries.items())}

    def _state(self, base: Snapshot, entries: Sequence[FileEntry]) -> PeriodState:
        reader = FileReader(self.log)
        window = self.incoming.window
        damaged: dict[FileEntry, Sequence[Session]] = {}
        readable: list[FileEntry] = []
        for entry in entries:
            held = reader.held(base, entry)
            # A file that this window does not touch is not looked into: its damage is not this writer's to mend.
            problem = reader.damage(base, entry) if any(session in window for session in held) else None
            if problem is None:
                readable.append(entry)
            elif all(session in window for session in problem.sessions):
                damaged[entry] = problem.sessions
            else:
                raise FileDamaged(self.log.name, entry.path, problem.sessions, problem.reason)
        placed = reader.places(base, [entry for entry in readable if reader.touches(base, entry, window)])
        if damaged:
            known = self.log.ids_by_log(base.version)
            placed |= {
                session: Place(known[session], entry)
                for entry, sessions in damaged.items()
                for session in sessions
                if session in known
            }
        return PeriodState(entries, placed, damaged)

    def _plan(self, base: Snapshot, period: str, state: PeriodState) -> PeriodPlan:
        # The same files need the same plan, so another attempt does not prepare a month again that nobody touched.
        key = (period, *(entry.path for entry in state.files))
        if key not in self._plans:
            self._plans[key] = self._new_plan(base, period, state)
        return self._plans[key]

    def _new_plan(self, base: Snapshot, period: str, state: PeriodState) -> PeriodPlan:
        rows = self.incoming.period(period)
        wanted = self._wanted[period] = content_ids(rows, self.incoming.schema)
        inside = {session: place for session, place in state.placed.items() if session in self.incoming.window}
        lost = {session for sessions in state.damaged.values() for session in sessions}
        fresh = {
            session
            for session, content_id in wanted.items()
            if session in lost or session not in inside or inside[session].content_id != content_id
        }
        leaving = fresh | (inside.keys() - wanted.keys())
        touched = {inside[session].file for session in leaving if session in inside} | set(state.damaged)
        if not fresh and not touched:
            return PeriodPlan()
        pieces = [piece for piece in pieces_of(rows, wanted) if piece.session in fresh]
        pieces += self._kept(base, state, touched - set(state.damaged), leaving)
        return self._staged(period, pieces, touched, healed=sorted(lost & fresh))

    def _kept(
        self, base: Snapshot, state: PeriodState, touched: Iterable[FileEntry], leaving: set[Session]
    ) -> list[SessionRows]:
        """Rows that move into the new file because others of their file are replaced."""
        reader = FileReader(self.log)
        kept: list[SessionRows] = []
        for entry in touched:
            staying = [
                session for session, place in state.placed.items() if place.file == entry and session not in leaving
            ]
            if staying:
                kept += reader.load(base, entry, staying, Chosen(self.incoming.schema.names)).sessions()
        return kept

    def _staged(
        self, period: str, pieces: Sequence[SessionRows], touched: set[FileEntry], *, healed: Sequence[Session]
    ) -> PeriodPlan:
        if not pieces:
            return PeriodPlan(removed=sorted(touched, key=lambda file: file.path))
        entry = staged_file(self.log, self.incoming.schema, period, pieces)
        self.bytes_written += entry.size_bytes
        # Writing a damaged file's rows again makes the same bytes, hence the same name: it is whole again in place.
        removed = sorted((file for file in touched if file.path != entry.path), key=lambda file: file.path)
        in_place = len(removed) < len(touched)
        return PeriodPlan(removed=removed, added=() if in_place else (entry,), healed=healed)


def pieces_of(rows: pa.Table, ids: Mapping[Session, str]) -> list[SessionRows]:
    """Rows in key order, cut into their sessions."""
    return [
        SessionRows(span.session, ids[span.session], rows.slice(span.start, span.count))
        for span in session_spans(rows[SESSION])
    ]


def staged_file(log: Log, schema: TableSchema, period: str, pieces: Sequence[SessionRows]) -> FileEntry:
    """Write a file that no version knows yet."""
    content = files.encoded(pieces, schema)
    path = files.file_path(period, content)
    log.store.put(path, content)
    sessions = [piece.session for piece in pieces]
    return FileEntry(
        path=path,
        size_bytes=content.size,
        period=period,
        rows=sum(piece.rows.num_rows for piece in pieces),
        first=min(sessions),
        last=max(sessions),
    )


def _ids(states: Mapping[str, PeriodState], incoming: IncomingRows) -> dict[Session, str]:
    return {
        session: place.content_id
        for state in states.values()
        for session, place in state.placed.items()
        if session in incoming.window
    }
