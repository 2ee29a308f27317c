"""The journal: an append-only record in which every row carries the hash of the one before."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Select, func, insert, select

from quant_pipelines.clock import Clock
from quant_pipelines.journal.anchor import GENESIS, Anchor, FileAnchor, Head
from quant_pipelines.journal.database import Database
from quant_pipelines.journal.entries import Entry, Row, Stored, payload_text, require_text
from quant_pipelines.journal.failures import AnchorFailed, AnchorMissing, JournalDamaged, KeyTaken
from quant_pipelines.journal.findings import Finding, Tampering
from quant_pipelines.journal.tables import JOURNAL, SCHEMA
from quant_pipelines.journal.verifying import findings
from quant_pipelines.settings import Settings

# Told the name of every step of an append. Tests end the process there; nobody else listens.
Trace = Callable[[str], None]
# Told the newest row that a verification has seen, every now and then.
Progress = Callable[[int], None]

REANCHORED = "journal_anchored"
_LOCK = "journal"
_PAGE_ROWS = 2_000


def _ignore(point: str | int) -> None:
    del point


class Journal:
    """Many processes may append at once; they get one chain. A row that was returned is on disk, and anchored."""

    def __init__(self, url: str | URL, anchor: Anchor, *, clock: Clock, trace: Trace = _ignore) -> None:
        self._database = Database(url, SCHEMA)
        self._anchor = anchor
        self._clock = clock
        self._trace = trace

    @property
    def name(self) -> str:
        """The database, without its password."""
        return self._database.name

    def append(self, entry: Entry) -> Row:
        """Write the entry as the next row."""
        return self._append(entry, None)

    def append_once(self, key: str, entry: Entry) -> Row:
        """Write the entry unless it was written under this key already; then return the row of that time.

        Who writes may differ between the two, what is written may not.
        """
        require_text("key", key)
        return self._append(entry, key)

    def rows(
        self, *, kind: str | None = None, subject: str | None = None, after: int = 0, limit: int | None = None
    ) -> Iterator[Row]:
        """Rows in order, read a page at a time. A row that is not what was written raises JournalDamaged."""
        statement = _chosen(kind, subject)
        left = limit
        while left is None or left > 0:
            page = self._read(_page(statement, after, left))
            yield from (stored.row() for stored in page)
            if len(page) < _PAGE_ROWS:
                return
            after = page[-1].sequence
            left = None if left is None else left - len(page)

    def newest(self, count: int, *, kind: str | None = None, subject: str | None = None) -> list[Row]:
        """The last rows, oldest of them first."""
        statement = _chosen(kind, subject).order_by(JOURNAL.c.sequence.desc()).limit(count)
        return [stored.row() for stored in reversed(self._read(statement))]

    def with_key(self, key: str) -> Row | None:
        """The row that was written under this key."""
        found = self._read(select(JOURNAL).where(JOURNAL.c.key == key))
        return found[0].row() if found else None

    def head(self) -> Head:
        """The newest row's number and hash. Whoever keeps it elsewhere can have it verified later."""
        with self._database.reading() as connection:
            return _head(connection)

    def verify(self, witnesses: Iterable[Head] = (), *, progress: Progress = _ignore) -> list[Finding]:
        """Everything that is wrong with the chain, the anchor's word and that of other witnesses considered.

        Where nothing is wrong the anchor moves up to the newest row: a process that died before it could anchor its
        row is no tampering.
        """
        # The anchor first: rows that come while we walk are no concern of it.
        anchored = self._readable_anchor()
        walked = _Walked(self._all(progress))
        found = findings(walked, [*witnesses, *anchored], self._place)
        if walked.last == GENESIS:
            return found
        if not anchored:
            found.append(Finding(walked.last.sequence, walked.last.sequence, Tampering.UNANCHORED))
        elif not found:
            self._anchor.advance(walked.last)
        return found

    def anchor_anew(self, *, actor: str, reason: str) -> Row:
        """Trust the rows that are there, by a person's decision, which is itself put on record."""
        with self._database.writing(_LOCK) as connection:
            before = _head(connection)
            require_text("reason", reason)
            payload = {"head": before.sequence, "hash": before.hash, "reason": reason}
            entry = Entry(kind=REANCHORED, subject="journal", actor=actor, payload=payload)
            stored = self._insert(connection, before, entry, None)
        self._anchor.replace(Head(stored.sequence, stored.hash))
        return stored.row()

    def _append(self, entry: Entry, key: str | None) -> Row:
        with self._database.writing(_LOCK) as connection:
            self._trace("locked")
            head = _head(connection)
            self._require_anchored(connection, head)
            stored = None if key is None else _written(connection, key, entry)
            if stored is None:
                stored = self._insert(connection, head, entry, key)
                self._trace("inserted")
        self._trace("committed")
        self._advance(Head(stored.sequence, stored.hash))
        self._trace("anchored")
        return stored.row()

    def _insert(self, connection: Connection, head: Head, entry: Entry, key: str | None) -> Stored:
        stored = Stored.following(head, entry, key=key, at=self._clock.now())
        connection.execute(insert(JOURNAL), [asdict(stored)])
        return stored

    def _require_anchored(self, connection: Connection, head: Head) -> None:
        """The next anchor would cover up that rows were cut off or written anew, so that is asked first."""
        anchored = self._anchor.read()
        if anchored is None and head == GENESIS:
            # Before the first row can be seen: rows without an anchor are then never the work of a crash.
            self._anchor.advance(GENESIS)
        elif anchored is None:
            raise AnchorMissing(self._anchor.name, head.sequence)
        elif anchored not in (head, GENESIS):
            there = select(JOURNAL.c.hash).where(JOURNAL.c.sequence == anchored.sequence)
            if connection.execute(there).scalar() != anchored.hash:
                raise JournalDamaged(
                    f"Row {anchored.sequence} of {self.name} is not the one that was anchored in {self._anchor.name}."
                )

    def _readable_anchor(self) -> list[Head]:
        try:
            anchored = self._anchor.read()
        except JournalDamaged:
            return []
        return [] if anchored is None else [anchored]

    def _advance(self, head: Head) -> None:
        try:
            self._anchor.advance(head)
        except OSError as error:
            raise AnchorFailed(self._anchor.name, head.sequence, str(error)) from error

    def _all(self, progress: Progress) -> Iterator[Stored]:
        """From the lowest number there is, even one that no row of ours has."""
        page = self._read(_page(select(JOURNAL), None, None))
        while page:
            yield from page
            progress(page[-1].sequence)
            page = self._read(_page(select(JOURNAL), page[-1].sequence, None))

    def _place(self, row_hash: str) -> int | None:
        statement = select(func.min(JOURNAL.c.sequence)).where(JOURNAL.c.hash == row_hash)
        with self._database.reading() as connection:
            return connection.execute(statement).scalar()

    def _read(self, statement: Select[Any]) -> list[Stored]:
        with self._database.reading() as connection:
            return [Stored.of(mapping) for mapping in connection.execute(statement).mappings()]


class _Walked:
    """Remembers the last row that went by."""

    def __init__(self, rows: Iterator[Stored]) -> None:
        self._rows = rows
        self.last = GENESIS

    def __iter__(self) -> Iterator[Stored]:
        for row in self._rows:
            self.last = Head(row.sequence, row.hash)
            yield row


def open_journal(settings: Settings, *, clock: Clock) -> Journal:
    """The installation's journal: in PostgreSQL where it is set, else in a file under its home."""
    return Journal(journal_url(settings), FileAnchor(settings.home_path / "journal.anchor"), clock=clock)


def journal_url(settings: Settings) -> str | URL:
    """The database of the journal and of the lineage."""
    return settings.postgres_url or sqlite_url(settings.home_path / "journal.db")


def sqlite_url(path: Path) -> URL:
    """A value, not a text: a text would be cut at a `?` in the path."""
    return URL.create("sqlite", database=str(path))


def _head(connection: Connection) -> Head:
    newest = select(JOURNAL.c.sequence, JOURNAL.c.hash).order_by(JOURNAL.c.sequence.desc()).limit(1)
    found = connection.execute(newest).one_or_none()
    return GENESIS if found is None else Head(found.sequence, found.hash)


def _written(connection: Connection, key: str, entry: Entry) -> Stored | None:
    found = connection.execute(select(JOURNAL).where(JOURNAL.c.key == key)).mappings().one_or_none()
    if found is None:
        return None
    wanted = {"kind": entry.kind, "subject": entry.subject, "payload": payload_text(entry.payload)}
    differs = [name for name, value in wanted.items() if found[name] != value]
    if differs:
        raise KeyTaken(key, found["sequence"], " and ".join(differs))
    return Stored.of(found)


def _chosen(kind: str | None, subject: str | None) -> Select[Any]:
    statement = select(JOURNAL)
    if kind is not None:
        statement = statement.where(JOURNAL.c.kind == kind)
    return statement if subject is None else statement.where(JOURNAL.c.subject == subject)


def _page(statement: Select[Any], after: int | None, left: int | None) -> Select[Any]:
    if after is not None:
        statement = statement.where(JOURNAL.c.sequence > after)
    size = _PAGE_ROWS if left is None else min(_PAGE_ROWS, left)
    return statement.order_by(JOURNAL.c.sequence).limit(size)
