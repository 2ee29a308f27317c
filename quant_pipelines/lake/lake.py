"""The lake: versioned, checked, crash-safe tables of sessions, one folder per market and table."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa

from quant_pipelines.calendars import Session
from quant_pipelines.clock import Clock
from quant_pipelines.lake import reading, sweeping, upkeep
from quant_pipelines.lake.comparing import changed_cells
from quant_pipelines.lake.files import Chosen
from quant_pipelines.lake.ids import TYPE_NAMES
from quant_pipelines.lake.log import Log, Snapshot, stored_schema
from quant_pipelines.lake.rows import IncomingRows, ids_of
from quant_pipelines.lake.schemas import TableSchema
from quant_pipelines.lake.storage import Store, store_at, stored_tables
from quant_pipelines.lake.sweeping import SAFE_AGE, Leftover
from quant_pipelines.lake.values import (
    EVERYTHING,
    Announce,
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
    unannounced,
)
from quant_pipelines.lake.versions import DataVersion, content_of, versions
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
        _require_storable(schema)
        store = self._store(market, schema.name)
        return Table(Log(f"{market}/{schema.name}", schema, store, self._clock, self._trace))

    def stored(self, market: str, name: str) -> "Table | None":
        """A table as it was made, whoever knows its schema; None where there is none."""
        schema = stored_schema(f"{market}/{name}", self._store(market, name))
        return None if schema is None else self.table(market, schema)

    def names(self, market: str) -> list[str]:
        """The tables that a market has."""
        return [name for owner, _, name in (each.partition("/") for each in self.stored_tables()) if owner == market]

    def stored_tables(self) -> list[str]:
        """Every table that was ever written, as market/table, whether its schema is known here or not."""
        return stored_tables(self.root, self._options)

    def leftovers(self, table: str, *, age: timedelta = SAFE_AGE) -> list[Leftover]:
        """Files of writers that died: no version refers to them, and nobody touched them for so long."""
        before = self._clock.now() - age
        return sweeping.leftovers(table, self._store(*table.split("/")), before=before)

    def sweep(self, table: str, *, age: timedelta = SAFE_AGE) -> list[Leftover]:
        """Remove the leftovers. Raises WritersAtWork where somebody writes the table now."""
        return sweeping.sweep(table, self._store(*table.split("/")), clock=self._clock, age=age)

    def _store(self, market: str, name: str) -> Store:
        for each in (market, name):
            if not _NAME.fullmatch(each):
                raise ValueError(f"{each!r} names no folder. Use small letters, digits and _, a letter first.")
        return store_at(self.root, f"{market}/{name}", self._options, self._trace)


@dataclass(frozen=True)
class Table:
    """One table. Every answer is of one whole version; `as_of` chooses an earlier one."""

    _log: Log

    @property
    def name(self) -> str:
        """Market and table, as errors and people write it."""
        return self._log.name

    @property
    def market(self) -> str:
        """Whose table it is."""
        return self._log.name.partition("/")[0]

    @property
    def schema(self) -> TableSchema:
        return self._log.schema

    def replace(
        self,
        rows: pa.Table,
        *,
        window: Window,
        writer: Writer,
        fence: Fence = no_fence,
        announce: Announce = unannounced,
    ) -> Commit:
        """Make the window hold exactly these rows. Sessions with equal content are not written again.

        Raises RowsRejected, SessionConflict, StorageFull and FileDamaged; then the last version is as it was.
        """
        incoming = IncomingRows(rows, self.schema, window)
        replacement = Replacement(self._log, incoming, writer, fence, announce)
        with self._log.store.writing():
            outcome = replacement.run()
            compacted = upkeep.tidy(self._log, outcome, writer)
        wanted = replacement.wanted
        return Commit(
            version=outcome.version,
            data_version=content_of(wanted),
            changed=outcome.changed,
            unchanged=len(wanted) - sum(1 for change in outcome.changed if change.new is not None),
            rows=rows.num_rows,
            bytes_written=replacement.bytes_written,
            raced_equal=outcome.raced_equal,
            healed=outcome.healed,
            compacted=compacted,
        )

    def read(
        self,
        window: Window | None = None,
        *,
        columns: Sequence[str] | None = None,
        symbols: Collection[str] | None = None,
        coded: Collection[str] = (),
        as_of: AsOf = None,
    ) -> pa.Table:
        """The window's rows in key order. A damaged file raises FileDamaged instead of yielding rows.

        Columns of text that are `coded` come as codes into a dictionary, as they are stored: a key has few values.
        """
        return self.at(as_of).read(window, columns=columns, symbols=symbols, coded=coded)

    def at(self, as_of: AsOf = None) -> "Version":
        """One version, looked up now, to be read many times: looking it up costs more than reading a session."""
        return Version(self._log, self._log.snapshot(as_of))

    def session_ids(self, window: Window | None = None, *, as_of: AsOf = None) -> dict[Session, str]:
        """The content id of each session that has rows, in order."""
        placed = reading.places(self._log, self._log.snapshot(as_of), window or EVERYTHING)
        return {session: place.content_id for session, place in placed.items()}

    def ids_of(self, rows: pa.Table) -> dict[Session, str]:
        """The content ids that these rows would have here."""
        return ids_of(rows, self.schema)

    def data_version(self, window: Window, *, as_of: AsOf = None) -> str:
        """One id for all that the window holds: equal content, equal id."""
        return content_of(self.session_ids(window, as_of=as_of))

    def version(self) -> int | None:
        """The newest version; None where the table was never written."""
        snapshot = self._log.snapshot()
        return None if snapshot is None else snapshot.version

    def history(self, limit: int | None = None) -> list[CommitInfo]:
        """What was done to the table, newest first."""
        return self._log.history(limit)

    def versions(self, limit: int | None = None) -> list[DataVersion]:
        """What the table held after each commit, newest first."""
        return versions(self._log, limit)

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
        with self._log.store.writing():
            return upkeep.take_out_damaged(self._log, window or EVERYTHING, writer)

    def compact(self, writer: Writer = _UPKEEP) -> int:
        """Merge each period into one file; the number of periods merged. Content and ids stay."""
        with self._log.store.writing():
            return upkeep.merge_all(self._log, writer)

    def files(self) -> FileSummary:
        snapshot = self._log.snapshot()
        files = () if snapshot is None else snapshot.files
        return FileSummary(len(files), sum(file.size_bytes for file in files), len({file.period for file in files}))


@dataclass(frozen=True)
class Version:
    """What a table held at one version."""

    _log: Log
    _snapshot: Snapshot | None

    def read(
        self,
        window: Window | None = None,
        *,
        columns: Sequence[str] | None = None,
        symbols: Collection[str] | None = None,
        coded: Collection[str] = (),
        glance: bool = False,
    ) -> pa.Table:
        """As `Table.read`. Several threads may read at once.

        A `glance` compares the checksums of what it reads alone, not every byte of its files with their names: for
        what is looked up, and decides nothing, before the rows themselves are read.
        """
        wanted = self._log.schema.names if columns is None else columns
        chosen = Chosen(wanted, symbols, coded, glance)
        return reading.read(self._log, self._snapshot, window or EVERYTHING, chosen)


def _require_storable(schema: TableSchema) -> None:
    for column in schema.columns:
        if column.type not in TYPE_NAMES:
            raise ValueError(
                f"Column {column.name} of {schema.name} is {column.type}; the lake stores {list(TYPE_NAMES)}."
            )
        if column.name in schema.key and (column.nullable or not column.identity or pa.types.is_floating(column.type)):
            raise ValueError(f"Key column {column.name} of {schema.name} must be identity, never null and no float.")
