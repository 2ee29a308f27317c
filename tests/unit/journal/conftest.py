"""A journal on each database, and somebody who tampers with it past the API."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from quant_pipelines.journal import Entry, FileAnchor, Journal, sqlite_url

DATABASES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgres))
COLUMNS = ("key", "kind", "subject", "actor", "payload", "recorded_at", "previous", "hash")


class Ticking:
    """A clock that moves a second with every look at it."""

    def __init__(self) -> None:
        self.at = datetime(2024, 1, 2, 15, tzinfo=UTC)

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


class Tampered:
    """One journal, reachable as its owner and as somebody who may do anything to its database."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.anchor = FileAnchor(folder / "journal.anchor")
        self.journal = self.again()
        self.statements = self._unguarded()

    def again(self) -> Journal:
        return Journal(self.url, self.anchor, clock=Ticking())

    def fill(self, count: int) -> None:
        for number in range(count):
            self.journal.append(entry(number))

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.begin() as connection:
            yield connection

    def run(self, *statements: str, **values: Any) -> None:
        with self.connected() as connection:
            for statement in statements:
                connection.execute(text(statement), values)

    def all(self) -> list[dict[str, Any]]:
        with self.connected() as connection:
            found = connection.execute(text("SELECT * FROM journal ORDER BY sequence")).mappings()
            return [dict(row) for row in found]

    def put(self, rows: Sequence[dict[str, Any]]) -> None:
        """Make the table hold exactly these rows, guards or not."""
        with self.connected() as connection:
            for statement in self.statements:
                connection.execute(text(statement))
            connection.execute(text("DELETE FROM journal"))
            names = ("sequence", *COLUMNS)
            insert = f"INSERT INTO journal ({', '.join(names)}) VALUES ({', '.join(':' + name for name in names)})"  # noqa: S608 - our own names
            for row in rows:
                connection.execute(text(insert), row)

    def _unguarded(self) -> list[str]:
        if self.url.startswith("sqlite"):
            return [f"DROP TRIGGER IF EXISTS journal_no_{what}" for what in ("update", "delete", "replace")]
        return ["ALTER TABLE journal DISABLE TRIGGER ALL"]


def entry(number: int = 0, **changed: Any) -> Entry:
    fields = {"kind": "note", "subject": "demo", "actor": "a test", "payload": {"number": number}}
    return Entry(**fields | changed)


@pytest.fixture
def make_entry() -> Callable[..., Entry]:
    return entry


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database of each kind."""
    if request.param == "sqlite":
        return str(sqlite_url(tmp_path / "journal.db"))
    return request.getfixturevalue("new_database")().replace("postgresql://", "postgresql+psycopg2://")


@pytest.fixture
def tampered(database_url: str, tmp_path: Path) -> Tampered:
    return Tampered(database_url, tmp_path)


@pytest.fixture
def filled(tampered: Tampered) -> Tampered:
    """Twelve rows."""
    tampered.fill(12)
    return tampered


@pytest.fixture
def tampered_at() -> Callable[[str, Path], Tampered]:
    return Tampered
