"""The journal's table, as the code sees it; migrations make it."""

from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from quant_pipelines.journal.database import Schema

_METADATA = MetaData()

# Payload and time are texts, byte for byte what was hashed: a JSON or time column would come back rewritten.
JOURNAL = Table(
    "journal",
    _METADATA,
    # Counted by us under the lock: a database's own sequence leaves gaps where a transaction failed.
    Column("sequence", BigInteger().with_variant(Integer(), "sqlite"), autoincrement=False),
    Column("key", Text),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("recorded_at", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    PrimaryKeyConstraint("sequence", name="journal_sequence"),
    UniqueConstraint("key", name="journal_key"),
    # Two rows cannot follow one: the chain has no forks, even for a writer that takes no lock.
    UniqueConstraint("previous", name="journal_previous"),
    UniqueConstraint("hash", name="journal_hash"),
    Index("journal_kind_subject", "kind", "subject", "sequence"),
)

SCHEMA = Schema(
    tables=_METADATA,
    migrations=Path(__file__).parent / "migrations" / "versions",
    version_table="journal_migrations",
    revision="journal_0001",
)
