"""What can go wrong in the lake, each with its own name and remedy."""

import errno
import re
from collections.abc import Sequence
from typing import Self

from quant_pipelines.calendars import Session, session_key
from quant_pipelines.errors import Conflict, DataRejected, DependencyFailed, OperatorActionRequired, StoreDamaged

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# The table format reports an operating system's error only in its text.
_ERROR_NUMBER = re.compile(r"os error (\d+)")
_NAMED_SESSIONS = 8


class TableSchemaChanged(OperatorActionRequired):
    """The stored table has another schema than the code asks for."""

    code = "QP160"

    def __init__(self, table: str, differences: Sequence[str]) -> None:
        super().__init__(
            f"Table {table} is stored with another schema: {'; '.join(differences)}. "
            "Give the new schema a new table name, or write the old table again into an empty folder."
        )


class UnknownVersion(OperatorActionRequired):
    """A table version that does not exist."""

    code = "QP161"

    def __init__(self, table: str, asked: int, newest: int | None) -> None:
        known = "no version yet" if newest is None else f"versions 0 to {newest}"
        super().__init__(f"Table {table} has {known}, but version {asked} was asked for. Look at its history.")


class UnknownColumn(OperatorActionRequired):
    """A column that the table does not have."""

    code = "QP162"

    def __init__(self, table: str, asked: Sequence[str], known: Sequence[str]) -> None:
        super().__init__(f"Table {table} has no column {', '.join(asked)}. It has {', '.join(known)}.")


class RowsRejected(DataRejected):
    """Rows that are not what the table's schema promises; nothing was written."""

    code = "QP270"

    def __init__(self, table: str, found: str, remedy: str) -> None:
        super().__init__(f"Rows for table {table} were refused: {found}. {remedy}")


class StorageFailed(DependencyFailed):
    """The place that holds the tables did not answer as it should."""

    code = "QP310"

    @classmethod
    def during(cls, action: str, where: str, reason: str) -> Self:
        return cls(
            f"Could not {action} {where}: {reason}. Check that the storage is reachable and its rights, then retry."
        )


class StorageFull(StorageFailed):
    """No room for the new version; the old one is still served."""

    code = "QP311"

    @classmethod
    def during(cls, action: str, where: str, reason: str) -> Self:
        return cls(
            f"Could not {action} {where}: no space left ({reason}). "
            "The last version is untouched and served. Free some space, then run it again."
        )


class SessionConflict(Conflict):
    """Another writer changed a session of the same window to something else, meanwhile."""

    code = "QP410"

    def __init__(self, table: str, session: Session, *, ours: str | None, theirs: str | None) -> None:
        super().__init__(
            f"Session {session_key(session)} of table {table} was changed by another writer to "
            f"{_id_text(theirs)} while this one prepared {_id_text(ours)}. "
            "Look at the table's history, then run the one that should win again."
        )


class TooManyRaces(Conflict):
    """Other writers were faster every time."""

    code = "QP411"

    def __init__(self, table: str, attempts: int) -> None:
        super().__init__(
            f"Table {table} was changed by other writers before each of {attempts} attempts to commit. "
            "Lower the number of runs that write it at once, then run this one again."
        )


class WritersAtWork(Conflict):
    """Somebody writes the table now, so nobody can tell what is left over."""

    code = "QP412"

    def __init__(self, where: str) -> None:
        super().__init__(
            f"A writer is at work on {where}; its files look like leftovers until it commits. "
            "Nothing was removed. Sweep again when it is done."
        )


class FileDamaged(StoreDamaged):
    """A data file's bytes are not those that were written; no row of it is served."""

    code = "QP510"

    def __init__(self, table: str, path: str, sessions: Sequence[Session], reason: str) -> None:
        self.path = path
        self.sessions = tuple(sessions)
        super().__init__(
            f"File {path} of table {table} is damaged: {reason}. It holds {sessions_text(sessions)}. "
            "Restore the file from a backup, or write all of these sessions again; "
            "earlier versions that do not use the file still read."
        )


class LogDamaged(StoreDamaged):
    """The table's log cannot be read."""

    code = "QP511"

    def __init__(self, table: str, reason: str) -> None:
        super().__init__(
            f"The log of table {table} cannot be read: {reason}. Restore its _delta_log folder from a backup. "
            "Where only a checkpoint is broken, move `_last_checkpoint` and that checkpoint away: "
            "the numbered JSON entries hold everything."
        )


class SessionStoredTwice(StoreDamaged):
    """Two files of one version claim the same session: something else than this lake wrote to the table."""

    code = "QP512"

    def __init__(self, table: str, session: Session, paths: Sequence[str]) -> None:
        super().__init__(
            f"Session {session_key(session)} of table {table} is in two files of one version: {', '.join(paths)}. "
            "Only this library may write the table; read an earlier version and write the session again from there."
        )


def sessions_text(sessions: Sequence[Session]) -> str:
    """A few labels by name, many by their ends."""
    keys = [session_key(each) for each in sorted(sessions)]
    if not keys:
        return "no session that the log knows"
    if len(keys) <= _NAMED_SESSIONS:
        return "session " + keys[0] if len(keys) == 1 else "sessions " + ", ".join(keys)
    return f"{len(keys)} sessions from {keys[0]} to {keys[-1]}"


def storage_failure(error: Exception, action: str, where: str) -> StorageFailed:
    """The named error for something that the storage said."""
    number = error.errno if isinstance(error, OSError) else None
    found = _ERROR_NUMBER.search(str(error))
    if number is None and found:
        number = int(found.group(1))
    kind = StorageFull if number in _FULL else StorageFailed
    return kind.during(action, where, _one_line(error))


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".") if len(lines) == 1 else " ".join(line.strip() for line in lines)[:300]


def _id_text(content_id: str | None) -> str:
    return "no rows" if content_id is None else f"content {content_id[:12]}"
