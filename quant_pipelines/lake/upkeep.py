"""Upkeep: few files per period, damaged files found and taken out. Content ids never change here."""

from collections.abc import Iterable

from quant_pipelines.calendars import Session
from quant_pipelines.errors import DependencyFailed, StoreDamaged
from quant_pipelines.lake import files
from quant_pipelines.lake.failures import TooManyRaces
from quant_pipelines.lake.files import Chosen, SessionRows, UnreadableError
from quant_pipelines.lake.ids import content_ids
from quant_pipelines.lake.log import Change, FileEntry, Log, RacedError, Snapshot
from quant_pipelines.lake.sessions import FileReader
from quant_pipelines.lake.values import Damage, SessionChange, Window, Writer
from quant_pipelines.lake.writing import ATTEMPTS, Outcome, staged_file

# A month of daily appends is merged twice on its way and once when it is over.
FILES_PER_PERIOD = 8


def tidy(log: Log, outcome: Outcome, writer: Writer) -> int:
    """After a commit: merge what has become crowded or is complete. What fails here is left to the next commit."""
    merged = 0
    try:
        for period in _due(outcome):
            merged += merge(log, period, writer)
        if outcome.version > outcome.base.version:
            log.checkpoint(outcome.version)
    except (StoreDamaged, DependencyFailed):
        # The commit itself is durable and must be acknowledged. A damaged file is named when it is read.
        return merged
    return merged


def _due(outcome: Outcome) -> list[str]:
    crowded = {period for period, count in outcome.crowding.items() if count > FILES_PER_PERIOD}
    sizes: dict[str, int] = {}
    for file in outcome.base.files:
        sizes[file.period] = sizes.get(file.period, 0) + 1
    for period in outcome.begun & outcome.crowding.keys():
        earlier = max((each for each in sizes if each < period), default=None)
        if earlier is not None and sizes[earlier] > 1:
            crowded.add(earlier)
    return sorted(crowded)


def merge_all(log: Log, writer: Writer) -> int:
    """Every period into one file; the number of periods that were merged."""
    snapshot = log.snapshot()
    if snapshot is None:
        return 0
    periods = [file.period for file in snapshot.files]
    return sum(merge(log, period, writer) for period in sorted(set(periods)) if periods.count(period) > 1)


def merge(log: Log, period: str, writer: Writer) -> bool:
    """One period into one file. False where another writer was faster: it or the next one will do it."""
    snapshot = log.snapshot()
    entries = [file for file in snapshot.files if file.period == period] if snapshot is not None else []
    if snapshot is None or len(entries) < 2:  # noqa: PLR2004
        return False
    added = staged_file(log, log.schema, period, _pieces(log, snapshot, entries))
    try:
        version = log.commit(snapshot, Change(operation="compact", writer=writer, added=[added], removed=entries))
    except RacedError:
        return False
    log.checkpoint(version)
    return True


def _pieces(log: Log, snapshot: Snapshot, entries: Iterable[FileEntry]) -> list[SessionRows]:
    reader = FileReader(log)
    pieces: list[SessionRows] = []
    for entry in entries:
        held = reader.places(snapshot, [entry])
        pieces += reader.load(snapshot, entry, held, Chosen(log.schema.names)).sessions()
    return pieces


def verify(log: Log, window: Window) -> list[Damage]:
    """Read every byte of the window's files and derive every content id again."""
    snapshot = log.snapshot()
    if snapshot is None:
        return []
    known = log.ids_by_log(snapshot.version)
    found = (_examined(log, snapshot, entry, window, known) for entry in snapshot.within(window))
    return [damage for damage in found if damage is not None]


def _examined(
    log: Log, snapshot: Snapshot, entry: FileEntry, window: Window, known: dict[Session, str]
) -> Damage | None:
    reader = FileReader(log)
    if not reader.touches(snapshot, entry, window):
        return None
    try:
        files.verified_content(log.store, entry.path)
        stored = files.stored_sessions(log.store, entry.path)
        loaded = files.load(log.store, entry.path, stored, Chosen(log.schema.names))
    except UnreadableError as problem:
        return Damage(entry.path, reader.held(snapshot, entry), str(problem))
    derived = content_ids(loaded.rows, log.schema)
    for session in derived.keys() | stored.keys():
        claimed = stored[session].content_id if session in stored else None
        if not derived.get(session) == claimed == known.get(session):
            reason = (
                f"{session} has content {derived.get(session)}, the file says {claimed}, the log {known.get(session)}"
            )
            return Damage(entry.path, tuple(stored), reason)
    return None


def take_out_damaged(log: Log, window: Window, writer: Writer) -> list[Damage]:
    """Commit a version without the window's damaged files: their sessions are then missing, and say so in history."""
    for _ in range(ATTEMPTS):
        snapshot = log.snapshot()
        damaged = verify(log, window)
        if snapshot is None or not damaged:
            return []
        paths = {damage.path for damage in damaged}
        known = log.ids_by_log(snapshot.version)
        lost = sorted({session for damage in damaged for session in damage.sessions})
        change = Change(
            operation="quarantine",
            writer=writer,
            added=(),
            removed=[file for file in snapshot.files if file.path in paths],
            sessions=[SessionChange(session, known.get(session), None) for session in lost],
        )
        try:
            log.commit(snapshot, change)
        except RacedError:
            continue
        return damaged
    raise TooManyRaces(log.name, ATTEMPTS)
