"""The append-only, hash-chained record of decisions, rollout steps, approvals: of all that must be answered for."""

from quant_pipelines.journal.anchor import GENESIS, Anchor, FileAnchor, Head
from quant_pipelines.journal.entries import Entry, Row
from quant_pipelines.journal.failures import (
    AnchorFailed,
    AnchorMissing,
    DatabaseDamaged,
    DatabaseFailed,
    DatabaseIsNewer,
    EntryRefused,
    JournalDamaged,
    KeyTaken,
)
from quant_pipelines.journal.findings import Finding, Tampering
from quant_pipelines.journal.journal import Journal, journal_url, open_journal, sqlite_url
from quant_pipelines.journal.kinds import Kind

__all__ = [
    "GENESIS",
    "Anchor",
    "AnchorFailed",
    "AnchorMissing",
    "DatabaseDamaged",
    "DatabaseFailed",
    "DatabaseIsNewer",
    "Entry",
    "EntryRefused",
    "FileAnchor",
    "Finding",
    "Head",
    "Journal",
    "JournalDamaged",
    "KeyTaken",
    "Kind",
    "Row",
    "Tampering",
    "journal_url",
    "open_journal",
    "sqlite_url",
]
