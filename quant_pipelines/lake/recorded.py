"""What the log records beside the files: who changed which sessions when, and the table's schema."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from quant_pipelines.lake.ids import TYPE_NAMES
from quant_pipelines.lake.schemas import Column, TableSchema
from quant_pipelines.lake.values import CommitInfo, Writer

# Where our part of a commit's description stands.
METADATA = "quant_pipelines"


def info(entry: Mapping[str, Any]) -> CommitInfo:
    ours = entry[METADATA]
    labels = [datetime.fromisoformat(label) for label, _, _ in ours["changes"]]
    return CommitInfo(
        version=entry["version"],
        operation=ours["operation"],
        created_at=created_at(entry),
        writer=Writer(**ours["writer"]),
        sessions=len(labels),
        first=min(labels, default=None),
        last=max(labels, default=None),
        rows=ours["rows"],
    )


def created_at(entry: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(entry[METADATA]["created_at"])


def described(schema: TableSchema) -> str:
    columns = {column.name: [TYPE_NAMES[column.type], column.nullable, column.identity] for column in schema.columns}
    return json.dumps({"key": list(schema.key), "columns": columns}, sort_keys=True)


def schema_of(name: str, text: str) -> TableSchema:
    """The schema that `described` wrote down; what its columns mean was not."""
    stored = json.loads(text)
    types = {said: kind for kind, said in TYPE_NAMES.items()}
    columns = [
        Column(each, types[kind], "", nullable, identity)
        for each, (kind, nullable, identity) in stored["columns"].items()
    ]
    return TableSchema(name, "", tuple(stored["key"]), tuple(columns))


def differences(stored: Mapping[str, Any], schema: TableSchema) -> list[str]:
    asked = json.loads(described(schema))
    differences = [] if stored["key"] == asked["key"] else [f"its key is {stored['key']}, the code says {asked['key']}"]
    for name in sorted(stored["columns"].keys() | asked["columns"].keys()):
        old, new = stored["columns"].get(name), asked["columns"].get(name)
        if old != new:
            differences.append(f"column {name} is {_column_text(old)}, the code says {_column_text(new)}")
    return differences


def _column_text(column: list[Any] | None) -> str:
    if column is None:
        return "absent"
    kind, nullable, identity = column
    return f"{kind}{'' if nullable else ' never null'}{'' if identity else ' (provenance)'}"


def foreign(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A commit that another program made: no session of ours changed in it, as far as anyone can tell."""
    return {
        "operation": str(entry.get("operation", "unknown")).lower(),
        "created_at": datetime.fromtimestamp(entry["timestamp"] / 1000, UTC).isoformat(),
        "writer": {"who": str(entry.get("engineInfo", "another program")), "run_id": None, "code_version": None},
        "changes": [],
        "rows": 0,
    }
