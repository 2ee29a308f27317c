"""Where SQLite and PostgreSQL differ: how a connection begins, how writers wait for each other, who sets up first."""

import fcntl
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.pool import NullPool

from quant_pipelines.digest import digest_bytes

WAIT_SECONDS = 60
_CONNECT_SECONDS = 10
_BEGIN = "qp_begin"
_LOCK_BYTES = 8


class Dialect(Protocol):
    """One kind of database."""

    def engine(self, url: str | URL) -> Engine: ...

    def lock(self, connection: Connection, name: str) -> None:
        """Keep every other writer of this name out until the transaction ends."""
        ...

    @contextmanager
    def alone(self, engine: Engine) -> Generator[None]:
        """Nobody else sets up this database meanwhile."""
        ...


@dataclass(frozen=True, slots=True)
class Sqlite:
    """A file. Writers wait for each other from the start of their transactions."""

    def engine(self, url: str | URL) -> Engine:
        engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": WAIT_SECONDS})
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        return engine

    def lock(self, connection: Connection, name: str) -> None:
        """BEGIN IMMEDIATE has done it."""
        del connection, name

    @contextmanager
    def alone(self, engine: Engine) -> Generator[None]:
        # Two processes that make one SQLite file at once can ruin it, and the switch to a write-ahead log
        # does not wait for locks (target R9).
        path = Path(str(engine.url.database))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f"{path.name}.lock").open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with engine.connect() as connection:
                _on_raw(connection, "PRAGMA journal_mode = WAL")
            yield


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server. An advisory lock needs no more rights than the right to insert."""

    def engine(self, url: str | URL) -> Engine:
        # Without a pool there is no connection to go stale when the server restarts or the process forks.
        return create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": _CONNECT_SECONDS})

    def lock(self, connection: Connection, name: str) -> None:
        connection.execute(text(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'"))
        number = int.from_bytes(bytes.fromhex(digest_bytes(name.encode()))[:_LOCK_BYTES], "big", signed=True)
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})

    @contextmanager
    def alone(self, engine: Engine) -> Generator[None]:
        """The lock of the transaction that sets up is enough: PostgreSQL makes tables in transactions."""
        del engine
        yield


DIALECTS: dict[str, Dialect] = {"sqlite": Sqlite(), "postgresql": Postgres()}


def for_writing(connection: Connection) -> Connection:
    """Take SQLite's write lock at once: one that is asked for later can be refused instead of waited for."""
    return connection.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})


def _prepare(connection: sqlite3.Connection, record: Any) -> None:
    del record
    # The driver's own transactions leave DDL outside; ours begin in `_begin`.
    connection.isolation_level = None
    # A text whose bytes were damaged must reach the one who compares hashes, not end the reading.
    connection.text_factory = _lenient
    for pragma in ("synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


def _on_raw(connection: Connection, statement: str) -> None:
    """Outside any transaction."""
    cursor = connection.connection.cursor()
    cursor.execute(statement)
    cursor.close()


def _lenient(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogateescape")
