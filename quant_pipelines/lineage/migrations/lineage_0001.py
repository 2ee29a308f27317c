"""Nodes, their parents, and the session lists that they read and write."""

import sqlalchemy as sa
from alembic import op

from quant_pipelines.journal.migrations.append_only import refuse_changes

revision = "lineage_0001"
down_revision = None

_TEXT = sa.Text()


def upgrade() -> None:
    op.create_table(
        "lineage_lists",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("market", _TEXT, nullable=False),
        sa.Column("table_name", _TEXT, nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
    )
    op.create_table(
        "lineage_entries",
        sa.Column("list", _TEXT, primary_key=True),
        sa.Column("label", _TEXT, primary_key=True),
        sa.Column("child", _TEXT, nullable=False),
    )
    op.create_index("lineage_entries_child", "lineage_entries", ["child"])
    op.create_index("lineage_entries_label", "lineage_entries", ["label"])
    op.create_table(
        "lineage_nodes",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("market", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("created_at", _TEXT, nullable=False),
        sa.Column("facts", _TEXT, nullable=False),
        sa.Column("symbols", _TEXT, nullable=True),
        sa.Column("writes", _TEXT, nullable=True),
        sa.Column("content", _TEXT, nullable=False),
    )
    op.create_index("lineage_nodes_writes", "lineage_nodes", ["writes"])
    op.create_table(
        "lineage_edges",
        sa.Column("child", _TEXT, primary_key=True),
        sa.Column("parent", _TEXT, primary_key=True),
        sa.Column("role", _TEXT, primary_key=True),
    )
    op.create_index("lineage_edges_parent", "lineage_edges", ["parent"])
    op.create_table(
        "lineage_reads",
        sa.Column("node", _TEXT, primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("list", _TEXT, nullable=False),
        sa.Column("back", sa.Integer(), nullable=True),
        sa.Column("ahead", sa.Integer(), nullable=False),
        sa.Column("across_symbols", sa.Boolean(), nullable=False),
    )
    op.create_index("lineage_reads_list", "lineage_reads", ["list"])
    for table, key in {
        "lineage_lists": ("id",),
        "lineage_entries": ("list", "label"),
        "lineage_nodes": ("id",),
        "lineage_edges": ("child", "parent", "role"),
        "lineage_reads": ("node", "position"),
    }.items():
        refuse_changes(table, unique=(key,))
