"""The journal."""

import sqlalchemy as sa
from alembic import op

from quant_pipelines.journal.migrations.append_only import refuse_changes

revision = "journal_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "journal",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="journal_sequence"),
        sa.UniqueConstraint("key", name="journal_key"),
        sa.UniqueConstraint("previous", name="journal_previous"),
        sa.UniqueConstraint("hash", name="journal_hash"),
    )
    op.create_index("journal_kind_subject", "journal", ["kind", "subject", "sequence"])
    refuse_changes("journal", unique=(("sequence",), ("key",), ("previous",), ("hash",)))
