"""The lineage's tables, as the code sees them; migrations make them."""

from pathlib import Path

from sqlalchemy import Boolean, Column, Index, Integer, MetaData, Table, Text

from quant_pipelines.journal.database import Schema

_METADATA = MetaData()

# A list names what a table held in some sessions, like a tree of git: the leaves are months (days where bars are
# hourly) of session and content id, above them years, above those the whole. Equal months are stored once.
LISTS = Table(
    "lineage_lists",
    _METADATA,
    Column("id", Text, primary_key=True),
    Column("market", Text, nullable=False),
    Column("table_name", Text, nullable=False),
    Column("level", Integer, nullable=False),
)
ENTRIES = Table(
    "lineage_entries",
    _METADATA,
    Column("list", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("child", Text, nullable=False),
    Index("lineage_entries_child", "child"),
    Index("lineage_entries_label", "label"),
)
NODES = Table(
    "lineage_nodes",
    _METADATA,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("market", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("symbols", Text),
    Column("writes", Text),
    # Digest of all that was recorded under the id, its edges and reads too: one id is one content.
    Column("content", Text, nullable=False),
    Index("lineage_nodes_writes", "writes"),
)
EDGES = Table(
    "lineage_edges",
    _METADATA,
    Column("child", Text, primary_key=True),
    Column("parent", Text, primary_key=True),
    Column("role", Text, primary_key=True),
    Index("lineage_edges_parent", "parent"),
)
READS = Table(
    "lineage_reads",
    _METADATA,
    Column("node", Text, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("list", Text, nullable=False),
    Column("back", Integer),
    Column("ahead", Integer, nullable=False),
    Column("across_symbols", Boolean, nullable=False),
    Index("lineage_reads_list", "list"),
)

SCHEMA = Schema(
    tables=_METADATA,
    migrations=Path(__file__).parent / "migrations",
    version_table="lineage_migrations",
    revision="lineage_0001",
)
