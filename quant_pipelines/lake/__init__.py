"""Versioned, checked, crash-safe tables. Equal content has an equal id and is written once."""

from quant_pipelines.lake.failures import (
    FileDamaged,
    LogDamaged,
    RowsRejected,
    SessionConflict,
    SessionStoredTwice,
    StorageFailed,
    StorageFull,
    TableSchemaChanged,
    TooManyRaces,
    UnknownColumn,
    UnknownVersion,
)
from quant_pipelines.lake.lake import Lake, Table
from quant_pipelines.lake.values import (
    AsOf,
    Commit,
    CommitInfo,
    Damage,
    Fence,
    FileSummary,
    SessionChange,
    Window,
    Writer,
    no_fence,
)

__all__ = [
    "AsOf",
    "Commit",
    "CommitInfo",
    "Damage",
    "Fence",
    "FileDamaged",
    "FileSummary",
    "Lake",
    "LogDamaged",
    "RowsRejected",
    "SessionChange",
    "SessionConflict",
    "SessionStoredTwice",
    "StorageFailed",
    "StorageFull",
    "Table",
    "TableSchemaChanged",
    "TooManyRaces",
    "UnknownColumn",
    "UnknownVersion",
    "Window",
    "Writer",
    "no_fence",
]
