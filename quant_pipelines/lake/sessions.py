"""Which session lies in which file of a version, and what to say when a file is damaged."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from quant_pipelines.calendars import Session
from quant_pipelines.lake import files
from quant_pipelines.lake.failures import FileDamaged, SessionStoredTwice
from quant_pipelines.lake.files import Chosen, LoadedFile, UnreadableError
from quant_pipelines.lake.log import FileEntry, Log, Snapshot
from quant_pipelines.lake.values import Damage, Window


@dataclass(frozen=True, slots=True)
class Place:
    """A session of a version: its content id, and the file that holds it."""

    content_id: str
    file: FileEntry


@dataclass(frozen=True)
class FileReader:
    """Reads data files of one table; a damaged one raises FileDamaged with every session it held."""

    log: Log

    def places(self, snapshot: Snapshot, entries: Iterable[FileEntry]) -> dict[Session, Place]:
        """The sessions of these files."""
        found: dict[Session, Place] = {}
        for entry in entries:
            for session, content_id in self._ids(snapshot, entry).items():
                if session in found:
                    raise SessionStoredTwice(self.log.name, session, [found[session].file.path, entry.path])
                found[session] = Place(content_id, entry)
        return found

    def load(self, snapshot: Snapshot, entry: FileEntry, sessions: Collection[Session], chosen: Chosen) -> LoadedFile:
        try:
            return files.load(self.log.store, entry.path, sessions, chosen)
        except UnreadableError as problem:
            raise self._damaged(snapshot, entry, problem) from problem

    def damage(self, snapshot: Snapshot, entry: FileEntry) -> Damage | None:
        """What is wrong with the file's bytes, None where they are as written."""
        try:
            files.require_intact(self.log.store, entry.path)
        except UnreadableError as problem:
            return Damage(entry.path, self.held(snapshot, entry), str(problem))
        return None

    def touches(self, snapshot: Snapshot, entry: FileEntry, window: Window) -> bool:
        return any(session in window for session in self.held(snapshot, entry))

    def held(self, snapshot: Snapshot, entry: FileEntry) -> tuple[Session, ...]:
        """What the file holds: by its footer where that is whole, else what the log knows and no other file holds."""
        stored = self._readable(entry)
        if stored is not None:
            return tuple(stored)
        known = {session for session in self.log.ids_by_log(snapshot.version) if entry.first <= session <= entry.last}
        for other in snapshot.files:
            if other.period == entry.period and other.path != entry.path:
                known -= set(self._readable(other) or ())
        return tuple(sorted(known))

    def _readable(self, entry: FileEntry) -> Mapping[Session, files.StoredSession] | None:
        try:
            return files.stored_sessions(self.log.store, entry.path)
        except UnreadableError:
            return None

    def _ids(self, snapshot: Snapshot, entry: FileEntry) -> dict[Session, str]:
        try:
            stored = files.stored_sessions(self.log.store, entry.path)
        except UnreadableError as problem:
            raise self._damaged(snapshot, entry, problem) from problem
        return {session: each.content_id for session, each in stored.items()}

    def _damaged(self, snapshot: Snapshot, entry: FileEntry, problem: UnreadableError) -> FileDamaged:
        return FileDamaged(self.log.name, entry.path, self.held(snapshot, entry), str(problem))
