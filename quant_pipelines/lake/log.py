"""The table's log: which files make which version. Delta Lake, with every commit a compare-and-swap."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from quant_pipelines.calendars import Session
from quant_pipelines.clock import Clock
from quant_pipelines.lake.failures import LogDamaged, TableSchemaChanged, UnknownVersion, storage_failure
from quant_pipelines.lake.recorded import METADATA, created_at, described, differences, foreign, info, schema_of
from quant_pipelines.lake.schemas import TableSchema
from quant_pipelines.lake.storage import Store
from quant_pipelines.lake.values import AsOf, CommitInfo, SessionChange, Trace, Window, Writer, period_of

if TYPE_CHECKING:
    from deltalake import DeltaTable

PERIOD = "period"
CHECKPOINT_EVERY = 50
_SCHEMA = "quant_pipelines.schema"
# What may be deleted is decided by what decisions cite, and never by age: the format must not clean up by itself.
_FOREVER = "interval 36500 days"
_CONFIGURATION = {
    "delta.checkpointInterval": str(CHECKPOINT_EVERY),
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": _FOREVER,
    "delta.deletedFileRetentionDuration": _FOREVER,
}


class RacedError(Exception):
    """Another writer made this version first. Inside the lake only: replace looks again."""


def stored_schema(name: str, store: Store) -> TableSchema | None:
    """What a table says of itself, for readers that do not know who made it; None where there is no table."""
    handle = _handle(name, store, None)
    if handle is None:
        return None
    about = handle.metadata()
    stored = about.configuration.get(_SCHEMA)
    if stored is None:
        raise TableSchemaChanged(name, ["it was not made by this library"])
    return schema_of(
        stored, pa.schema(handle.schema().to_arrow()), about.name or name.rpartition("/")[2], about.description or ""
    )


def _handle(name: str, store: Store, version: int | None) -> "DeltaTable | None":
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    try:
        return DeltaTable(store.url, version=version, storage_options=store.options)
    except TableNotFoundError:
        return None
    except OSError as error:
        raise storage_failure(error, "open", store.url) from error
    except DeltaError as error:
        if not DeltaTable.is_deltatable(store.url, store.options):
            return None
        raise LogDamaged(name, str(error).splitlines()[0]) from error


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One data file of a version, and the ends of the sessions in it."""

    path: str
    size_bytes: int
    period: str
    rows: int
    first: Session
    last: Session


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of the table: its files, by period and path."""

    version: int
    files: tuple[FileEntry, ...]
    handle: "DeltaTable" = field(compare=False, repr=False)

    def within(self, window: Window) -> list[FileEntry]:
        first, last = period_of(window.first), period_of(window.last)
        return [file for file in self.files if first <= file.period <= last]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a commit does. Where no content changes, only its layout does."""

    operation: str
    writer: Writer
    added: Sequence[FileEntry]
    removed: Sequence[FileEntry]
    sessions: Sequence[SessionChange] = ()
    rows: int = 0


@dataclass(frozen=True)
class Log:
    """The log of one table."""

    name: str
    schema: TableSchema
    store: Store
    clock: Clock
    trace: Trace

    def snapshot(self, as_of: AsOf = None) -> Snapshot | None:
        """The version that was current at `as_of`, or None where the table did not exist yet."""
        handle = self._open(None)
        if handle is None:
            if isinstance(as_of, int):
                raise UnknownVersion(self.name, as_of, None)
            return None
        version = self._version_at(handle, as_of)
        if version is None:
            return None
        if version != handle.version():
            handle = self._existing(version)
        return Snapshot(handle.version(), _entries(handle), handle)

    def current(self) -> Snapshot:
        """The newest version of a table that exists."""
        handle = self._open(None)
        if handle is None:
            raise LogDamaged(self.name, "it was there a moment ago and is gone")
        return Snapshot(handle.version(), _entries(handle), handle)

    def ensure_created(self) -> None:
        """Make the empty table, version 0, where there is none. Several writers may try at once."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError
        from deltalake.transaction import CommitProperties

        if self._open(None) is not None:
            return
        fields = [*self.schema.arrow, pa.field(PERIOD, pa.string(), nullable=False)]
        origin = self._metadata(Change(operation="create", writer=Writer("lake"), added=(), removed=()))
        self.trace("before create")
        try:
            DeltaTable.create(
                self.store.url,
                schema=pa.schema(fields),
                partition_by=[PERIOD],
                name=self.schema.name,
                description=self.schema.description,
                configuration={**_CONFIGURATION, _SCHEMA: described(self.schema)},
                storage_options=self.store.options,
                commit_properties=CommitProperties(custom_metadata={METADATA: origin}),
                raise_if_key_not_exists=False,
            )
        except (DeltaError, OSError) as error:
            if self._open(None) is None:
                raise storage_failure(error, "create", self.store.url) from error
        self.trace("created")
        self.store.make_durable(_log_entry(0))

    def commit(self, base: Snapshot, change: Change) -> int:
        """Make the version after `base`, or raise RacedError where somebody else made it."""
        from deltalake.exceptions import DeltaError
        from deltalake.transaction import CommitProperties, PostCommitHookProperties

        version = base.version + 1
        self.trace(f"{change.operation} before commit")
        try:
            base.handle.create_write_transaction(
                self._actions(change),
                mode="append",
                schema=base.handle.schema(),
                partition_by=[PERIOD],
                # No retries: the format would rebase this commit on others and let two runs add one session twice.
                commit_properties=CommitProperties(
                    custom_metadata={METADATA: self._metadata(change)}, max_commit_retries=0
                ),
                # Checkpoints are made apart (see `checkpoint`): a failing one must not fail a commit that happened.
                post_commithook_properties=PostCommitHookProperties(
                    create_checkpoint=False, cleanup_expired_logs=False
                ),
            )
        except (DeltaError, OSError) as error:
            if self._newest() > base.version:
                raise RacedError from error
            raise storage_failure(error, "commit to", self.store.url) from error
        self.trace(f"{change.operation} committed")
        self.store.make_durable(_log_entry(version))
        self.trace(f"{change.operation} durable")
        return version

    def checkpoint(self, version: int) -> None:
        """Every so many versions, write the log's sum, so that opening stays fast. Best effort: the log holds all."""
        from deltalake.exceptions import DeltaError

        if version % CHECKPOINT_EVERY:
            return
        handle = self._existing(version)
        self.trace("before checkpoint")
        try:
            handle.create_checkpoint()
        except (DeltaError, OSError) as error:
            raise storage_failure(error, "write a checkpoint to", self.store.url) from error
        self.store.make_durable(f"_delta_log/{version:020d}.checkpoint.parquet")
        self.store.make_durable("_delta_log/_last_checkpoint")
        self.trace("checkpointed")

    def history(self, limit: int | None = None) -> list[CommitInfo]:
        """Newest first."""
        handle = self._open(None)
        return [] if handle is None else [info(entry) for entry in self._commits(handle, limit)]

    def ids_by_log(self, version: int) -> dict[Session, str]:
        """Every session's content id at a version, told by the commits alone: a second witness beside the files."""
        ids: dict[Session, str | None] = {}
        for _commit, changed in self.changes(version):
            ids |= changed
        return {session: content_id for session, content_id in ids.items() if content_id is not None}

    def changes(self, version: int | None = None) -> list[tuple[CommitInfo, dict[Session, str | None]]]:
        """Every commit up to a version, oldest first, with the content ids that it brought, None where it took one."""
        handle = self._open(version)
        entries = [] if handle is None else reversed(list(self._commits(handle, None)))
        return [
            (info(entry), {datetime.fromisoformat(label): new for label, _, new in entry[METADATA]["changes"]})
            for entry in entries
        ]

    def _open(self, version: int | None) -> "DeltaTable | None":
        handle = _handle(self.name, self.store, version)
        if handle is not None:
            self._require_same_schema(handle)
        return handle

    def _existing(self, version: int) -> "DeltaTable":
        handle = self._open(version)
        if handle is None:
            raise LogDamaged(self.name, f"version {version} was there a moment ago and is gone")
        return handle

    def _require_same_schema(self, handle: "DeltaTable") -> None:
        stored = handle.metadata().configuration.get(_SCHEMA)
        if stored == described(self.schema):
            return
        found = differences(json.loads(stored), self.schema) if stored else ["it was not made by this library"]
        raise TableSchemaChanged(self.name, found)

    def _newest(self) -> int:
        handle = self._open(None)
        return -1 if handle is None else handle.version()

    def _version_at(self, handle: "DeltaTable", as_of: AsOf) -> int | None:
        if as_of is None:
            return handle.version()
        if isinstance(as_of, int):
            if not 0 <= as_of <= handle.version():
                raise UnknownVersion(self.name, as_of, handle.version())
            return as_of
        if as_of.tzinfo is None:
            raise ValueError(f"as_of needs an aware time, got {as_of!r}. Add its time zone.")
        return next((info(entry).version for entry in self._commits(handle, None) if created_at(entry) <= as_of), None)

    def _commits(self, handle: "DeltaTable", limit: int | None) -> Iterator[dict[str, Any]]:
        from deltalake.exceptions import DeltaError

        try:
            entries = handle.history(limit)
        except (DeltaError, OSError) as error:
            raise LogDamaged(self.name, str(error).splitlines()[0]) from error
        for entry in entries:
            yield entry if METADATA in entry else {**entry, METADATA: foreign(entry)}

    def _metadata(self, change: Change) -> dict[str, Any]:
        return {
            "operation": change.operation,
            "created_at": self.clock.now().isoformat(),
            "writer": asdict(change.writer),
            "changes": [[each.session.isoformat(), each.old, each.new] for each in change.sessions],
            "rows": change.rows,
        }

    def _actions(self, change: Change) -> list[Any]:
        from deltalake.transaction import AddAction, RemoveAction

        moment = int(self.clock.now().timestamp() * 1000)
        content = bool(change.sessions)
        added = [
            AddAction(file.path, file.size_bytes, {PERIOD: file.period}, moment, content, _statistics(file))
            for file in change.added
        ]
        removed = [
            RemoveAction(file.path, content, moment, file.size_bytes, {PERIOD: file.period}) for file in change.removed
        ]
        return [*added, *removed]


def _log_entry(version: int) -> str:
    return f"_delta_log/{version:020d}.json"


def _entries(handle: "DeltaTable") -> tuple[FileEntry, ...]:
    actions = pa.table(handle.get_add_actions(flatten=True))
    if actions.num_rows == 0:
        return ()
    names = ("path", "size_bytes", f"partition.{PERIOD}", "num_records", "min.session", "max.session")
    rows = zip(*(actions[name].to_pylist() for name in names), strict=True)
    return tuple(sorted((FileEntry(*row) for row in rows), key=lambda file: (file.period, file.path)))


def _statistics(file: FileEntry) -> str:
    """In the format's own terms, so that other programs skip files too."""
    ends = {"minValues": file.first, "maxValues": file.last}
    return json.dumps(
        {
            "numRecords": file.rows,
            **{name: {"session": label.isoformat(timespec="microseconds")} for name, label in ends.items()},
            "nullCount": {"session": 0},
        }
    )
