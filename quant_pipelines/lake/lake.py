"""The lake: versioned, checked, crash-safe tables of sessions, one folder per market and table."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from quant_pipelines.calendars import Session
from quant_pipelines.clock import Clock
from quant_pipelines.digest import digest_json
from quant_pipelines.lake import reading, upkeep
from quant_pipelines.lake.comparing import changed_cells
from quant_pipelines.lake.ids import TYPE_NAMES
from quant_pipelines.lake.log import Log, stored_schema
from quant_pipelines.lake.rows import IncomingRows, ids_of
from quant_pipelines.lake.schemas import TableSchema
from quant_pipelines.lake.storage import store_at
from quant_pipelines.lake.values import (
    EVERYTHING,
    AsOf,
    Commit,
    CommitInfo,
    Damage,
    Fence,
    FileSummary,
    SessionChange,
    Trace,
    Window,
    Writer,
    ignore,
    no_fence,
)
from quant_pipelines.lake.writing import Replacement

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_UPKEEP = Writer("lake upkeep")


class Lake:
    """All tables below one root: a folder, or an s3:// URL with storage options."""

    def __init__(
        self,
        root: str,
        *,
        clock: Clock,
        storage_options: Mapping[str, str] | None = None,
        trace: Trace = ignore,
    ) -> None:
        self.root = root
        self._clock = clock
        self._options = dict(storage_options or {})
        self._trace = trace

    def table(self, market: str, schema: TableSchema) -> "Table":
        """One market's table; it is made when it is first written."""
        for name in (market, schema.name):
            _require_name(name)
        _require_storable(schema)
        store = store_at(self.root, f"{market}/{schema.name}", self._options, self._trace)
        return Table(Log(f"{market}/{schema.name}", schema, store, self._clock, self._trace))

    def stored(self, market: str, name: str) -> "Table | None":
        """A table as it was made, whatever the code says today; None where there is none."""
        for part in (market, name):
            _require_name(part)
        store = store_at(self.root, f"{market}/{name}", self._options, self._trace)
        schema = stored_schema(f"{market}/{name}", store)
        return None if schema is None else Table(Log(f"{market}/{name}", schema, store, self._clock, self._trace))


@dataclass(frozen=True)
class Table:
    """One table. Every answer is of one whole version; `as_of` chooses an earlier one."""

    _log: Log

    @property
    def name(self) -> str:
        """Market and table, as errors and people write it."""
        return self._log.name

    @property
    def schema(self) -> TableSchema:
        return self._log.schema

    def replace(self, rows: pa.Table, *, window: Window, writer: Writer, fence: Fence = no_fence) -> Commit:
        """Make the window hold exactly these rows. Sessions with equal content are not written again.

        Raises RowsRejected, SessionConflict, StorageFull and FileDamaged; then the last version is as it was.
        """
        incoming = IncomingRows(rows, self.schema, window)
        replacement = Replacement(self._log, incoming, writer, fence)
        outcome = replacement.run()
        wanted = replacement.wanted
        return Commit(
            version=outcome.version,
            data_version=_data_version(wanted),
            changed=outcome.changed,
            unchanged=len(wanted) - sum(1 for change in outcome.changed if change.new is not None),
            rows=rows.num_rows,
            bytes_written=replacement.bytes_written,
            raced_equal=outcome.raced_equal,
            healed=outcome.healed,
            compacted=upkeep.tidy(self._log, outcome, writer),
        )

    def read(
        self,
        window: Window | None = None,
        *,
        columns: Sequence[str] | None = None,
        symbols: Collection[str] | None = None,
        as_of: AsOf = None,
    ) -> pa.Table:
        """The window's rows in key order. A damaged file raises FileDamaged instead of yielding rows."""
        return reading.read(self._log, window or EVERYTHING, columns=columns, symbols=symbols, as_of=as_of)

    def session_ids(self, window: Window | None = None, *, as_of: AsOf = None) -> dict[Session, str]:
        """The content id of each session that has rows, in order."""
        placed = reading.places(self._log, self._log.snapshot(as_of), window or EVERYTHING)
        return {session: place.content_id for session, place in placed.items()}

    def ids_of(self, rows: pa.Table) -> dict[Session, str]:
        """The content ids that these rows would have here."""
        return ids_of(rows, self.schema)

    def data_version(self, window: Window, *, as_of: AsOf = None) -> str:
        """One id for all that the window holds: equal content, equal id."""
        return _data_version(self.session_ids(window, as_of=as_of))

    def version(self) -> int | None:
        """The newest version; None where the table was never written."""
        snapshot = self._log.snapshot()
        return None if snapshot is None else snapshot.version

    def history(self, limit: int | None = None) -> list[CommitInfo]:
        """What was done to the table, newest first."""
        return self._log.history(limit)

    def diff(self, old: AsOf, new: AsOf, window: Window | None = None) -> list[SessionChange]:
        """The sessions whose content differs between two versions."""
        return reading.changes_between(self.session_ids(window, as_of=old), self.session_ids(window, as_of=new))

    def compare_rows(self, old_as_of: AsOf, new_as_of: AsOf, session: Session) -> pa.Table:
        """The cells of a session that differ between two versions: key, column, old, new (as text)."""
        window = Window(session, session)
        return changed_cells(self.read(window, as_of=old_as_of), self.read(window, as_of=new_as_of), self.schema)

    def verify(self, window: Window | None = None) -> list[Damage]:
        """Read every byte again, derive every content id anew, and name what does not fit."""
        return upkeep.verify(self._log, window or EVERYTHING)

    def quarantine_damaged(self, *, writer: Writer, window: Window | None = None) -> list[Damage]:
        """Take damaged files out of the newest version, so that their sessions are missing rather than unreadable."""
        return upkeep.take_out_damaged(self._log, window or EVERYTHING, writer)

    def compact(self, writer: Writer = _UPKEEP) -> int:
        """Merge each period into one file; the number of periods merged. Content and ids stay."""
        return upkeep.merge_all(self._log, writer)

    def files(self) -> FileSummary:
        snapshot = self._log.snapshot()
        files = () if snapshot is None else snapshot.files
        return FileSummary(len(files), sum(file.size_bytes for file in files), len({file.period for file in files}))


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} names no folder. Use small letters, digits and _, a letter first.")


def _data_version(ids: Mapping[Session, str]) -> str:
    return digest_json([[session.isoformat(), ids[session]] for session in sorted(ids)])


def _require_storable(schema: TableSchema) -> None:
    for column in schema.columns:
        if column.type not in TYPE_NAMES:
            raise ValueError(
                f"Column {column.name} of {schema.name} is {column.type}; the lake stores {list(TYPE_NAMES)}."
            )
        if column.name in schema.key and (column.nullable or not column.identity or pa.types.is_floating(column.type)):
            raise ValueError(f"Key column {column.name} of {schema.name} must be identity, never null and no float.")
