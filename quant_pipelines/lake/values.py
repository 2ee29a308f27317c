"""The lake's values: what is asked of a table, and what it answers."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime

from quant_pipelines.calendars import Session
from quant_pipelines.digest import digest_json

# Entered right before a commit and left right after it. Raises to abandon the commit; while it is entered,
# nobody can end the writer.
Fence = Callable[[], AbstractContextManager[None]]
# Told, before a commit and also where there is nothing to commit, the content id of every session that the window
# will hold; raises to abandon it. May be told the same twice.
Announce = Callable[[Mapping[Session, str]], None]
# Told the name of every step of a write. Tests end the process there; nobody else listens.
Trace = Callable[[str], None]
# A table version, or the newest commit at or before an instant; None is now.
AsOf = int | datetime | None


# A session without any row has content too: none.
EMPTY_SESSION = digest_json([])


def no_fence() -> AbstractContextManager[None]:
    """Every commit may happen."""
    return nullcontext()


def unannounced(ids: Mapping[Session, str]) -> None:
    """Nobody needs to know before the commit."""
    del ids


def ignore(point: str) -> None:
    """Nobody listens."""
    del point


@dataclass(frozen=True, slots=True)
class Window:
    """A range of session labels, both ends included."""

    first: Session
    last: Session

    def __post_init__(self) -> None:
        if self.first.tzinfo is not None or self.last.tzinfo is not None:
            raise ValueError(f"Session labels have no time zone: {self.first!r} to {self.last!r}. Leave it away.")
        if self.first > self.last:
            raise ValueError(f"A window runs forward: first {self.first} is after last {self.last}.")

    def __contains__(self, session: Session) -> bool:
        return self.first <= session <= self.last


EVERYTHING = Window(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999))


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes: a person or an asset, the run that does it, and the code it runs."""

    who: str
    run_id: str | None = None
    code_version: str | None = None


@dataclass(frozen=True, slots=True)
class SessionChange:
    """A session's content id before and after; None where it holds no rows."""

    session: Session
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What one `replace` did.

    `raced_equal` are sessions that another writer brought to the same content meanwhile; `healed` are sessions
    whose damaged bytes were written again; `compacted` counts periods merged into one file afterwards.
    """

    version: int
    data_version: str
    changed: tuple[SessionChange, ...]
    unchanged: int
    rows: int
    bytes_written: int
    raced_equal: tuple[Session, ...] = ()
    healed: tuple[Session, ...] = ()
    compacted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitInfo:
    """One entry of a table's history; first and last are of the sessions that changed."""

    version: int
    operation: str
    created_at: datetime
    writer: Writer
    sessions: int
    first: Session | None
    last: Session | None
    rows: int


@dataclass(frozen=True, slots=True)
class Damage:
    """One file whose bytes are not what was written, and the sessions it held."""

    path: str
    sessions: tuple[Session, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class FileSummary:
    """How a version of a table lies in storage."""

    count: int
    size_bytes: int
    periods: int


def period_of(session: Session) -> str:
    """The partition that a session belongs to: its month."""
    return f"{session.year:04d}-{session.month:02d}"
