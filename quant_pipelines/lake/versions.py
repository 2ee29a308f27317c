"""A table's versions for people: what each one held, who made it, and whether it still is what the table holds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from quant_pipelines.calendars import Session
from quant_pipelines.digest import digest_json
from quant_pipelines.lake.log import Log
from quant_pipelines.lake.values import CommitInfo


class VersionStatus(StrEnum):
    """Whether a version's content is what the table holds now."""

    CURRENT = "current"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataVersion:
    """What the table held after a commit (S2-38). `id` is of all its content: equal content, equal id.

    `first`, `last`, `sessions`, `rows` and `size_bytes` are of all that it held, `commit` says what was changed.
    """

    id: str
    status: VersionStatus
    commit: CommitInfo
    first: Session | None
    last: Session | None
    sessions: int
    rows: int
    size_bytes: int


def content_of(ids: Mapping[Session, str]) -> str:
    """One id for all of these sessions."""
    return digest_json([[session.isoformat(), ids[session]] for session in sorted(ids)])


def versions(log: Log, limit: int | None) -> list[DataVersion]:
    """Newest first."""
    history = log.changes()
    skipped = 0 if limit is None else max(0, len(history) - limit)
    ids: dict[Session, str | None] = {}
    found: list[DataVersion] = []
    for number, (commit, changed) in enumerate(history):
        ids |= changed
        if number >= skipped:
            held = {session: content_id for session, content_id in ids.items() if content_id is not None}
            found.append(_version(log, commit, held))
    newest = found[-1].id if found else None
    return [each if each.id == newest else replace(each, status=VersionStatus.SUPERSEDED) for each in reversed(found)]


def _version(log: Log, commit: CommitInfo, ids: Mapping[Session, str]) -> DataVersion:
    snapshot = log.snapshot(commit.version)
    files = () if snapshot is None else snapshot.files
    return DataVersion(
        id=content_of(ids),
        status=VersionStatus.CURRENT,
        commit=commit,
        first=min(ids, default=None),
        last=max(ids, default=None),
        sessions=len(ids),
        rows=sum(file.rows for file in files),
        size_bytes=sum(file.size_bytes for file in files),
    )
