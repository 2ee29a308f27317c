"""Data files: one month of sessions (or a part of one) as Parquet, self-describing and checked on every read."""

import errno
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from quant_pipelines.calendars import Session
from quant_pipelines.digest import digest_bytes
from quant_pipelines.lake.failures import storage_failure
from quant_pipelines.lake.ids import SessionSpan
from quant_pipelines.lake.schemas import TableSchema
from quant_pipelines.lake.storage import Store

# A row group is the least that a read decodes. Measured on 5,000 symbols: groups of one session read a year a
# third slower, groups of a month read one session five times slower.
ROW_GROUP_ROWS = 16_384
_SESSIONS_KEY = b"quant_pipelines.sessions"
_DIGEST_KEY = b"quant_pipelines.digest"


@dataclass(frozen=True, slots=True)
class SessionRows:
    """One session's rows, in key order, with their content id."""

    session: Session
    content_id: str
    rows: pa.Table


@dataclass(frozen=True, slots=True)
class StoredSession:
    """Where a session lies in a file."""

    span: SessionSpan
    content_id: str


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """Some sessions of a file: their rows, and where each session begins in them."""

    rows: pa.Table
    stored: Mapping[Session, StoredSession]
    starts: Mapping[Session, int]

    def sessions(self) -> list[SessionRows]:
        return [
            SessionRows(
                session, self.stored[session].content_id, self.rows.slice(start, self.stored[session].span.count)
            )
            for session, start in self.starts.items()
        ]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is wanted of each file. Texts that are `coded` stay codes into a dictionary, as they are stored.

    A `glance` trusts the footer and the checksums of the pages that it reads, which is enough for what is looked up
    first and decides nothing; the digest of the whole file is left to whoever reads the rows themselves.
    """

    columns: Sequence[str]
    symbols: Collection[str] | None = None
    coded: Collection[str] = ()
    glance: bool = False


class UnreadableError(Exception):
    """A file's bytes are not what was written. Inside the lake only: callers see FileDamaged."""


def encoded(pieces: Sequence[SessionRows], schema: TableSchema) -> pa.Buffer:
    """The bytes of a file that holds these sessions; the same sessions make the same bytes."""
    ordered = sorted(pieces, key=lambda piece: piece.session)
    sink = pa.BufferOutputStream()
    text = [column.name for column in schema.columns if pa.types.is_string(column.type)]
    with pq.ParquetWriter(
        sink,
        schema.arrow,
        compression="zstd",
        use_dictionary=text,  # pyright: ignore[reportArgumentType]  # columns are allowed too
        write_statistics=list(schema.key),  # pyright: ignore[reportArgumentType]  # the same
        write_page_checksum=True,
    ) as writer:
        for group in _row_groups(ordered):
            rows = pa.concat_tables([piece.rows for piece in group])
            writer.write_table(rows, row_group_size=max(rows.num_rows, 1))
        described = json.dumps([[p.session.isoformat(), p.content_id, p.rows.num_rows] for p in ordered]).encode()
        # The page checksums do not cover the footer, and the ids are read from it without reading the rest.
        writer.add_key_value_metadata({_SESSIONS_KEY: described, _DIGEST_KEY: digest_bytes(described)})
    return sink.getvalue()


def _row_groups(pieces: Iterable[SessionRows]) -> Iterable[list[SessionRows]]:
    group: list[SessionRows] = []
    count = 0
    for piece in pieces:
        group.append(piece)
        count += piece.rows.num_rows
        if count >= ROW_GROUP_ROWS:
            yield group
            group, count = [], 0
    if group:
        yield group


def file_path(period: str, content: pa.Buffer) -> str:
    return f"period={period}/{digest_bytes(memoryview(content))}.parquet"


def stored_sessions(store: Store, path: str) -> Mapping[Session, StoredSession]:
    """What the file's footer says it holds, in order; raises UnreadableError."""
    return _footer(store, path, store.stamp(path))


def load(store: Store, path: str, sessions: Collection[Session], chosen: Chosen) -> LoadedFile:
    """The rows of some of the file's sessions; raises UnreadableError."""
    if chosen.glance or _verified_before(store, path):
        try:
            with store.open(path) as source:
                return _loaded(source, sessions, chosen)
        except (OSError, pa.ArrowException, UnreadableError, KeyError, ValueError):  # the last two: names in a footer
            pass  # look at every byte below: it tells a damaged file from a storage that does not answer
    content = verified_content(store, path)
    try:
        return _loaded(pa.BufferReader(content), sessions, chosen)
    except (OSError, pa.ArrowException) as error:
        raise UnreadableError(f"its bytes are as written, but cannot be read: {error}") from error


def verified_content(store: Store, path: str) -> pa.Buffer:
    """Every byte of the file, after its digest was compared with its name; raises UnreadableError."""
    stamp = store.stamp(path)
    try:
        content = store.read(path)
    except FileNotFoundError as error:
        raise UnreadableError("it is missing") from error
    except OSError as error:
        if error.errno == errno.EIO:
            raise UnreadableError(f"the disk cannot read it: {error}") from error
        raise storage_failure(error, "read", f"{store.url}/{path}") from error
    found, named = digest_bytes(memoryview(content)), PurePosixPath(path).stem
    if found != named:
        raise UnreadableError(f"its bytes have the digest {found[:12]}..., its name says {named[:12]}...")
    _verified.add((store.url, path, stamp))
    return content


def require_intact(store: Store, path: str) -> None:
    """Compare every byte with the file's name, once for each process and file; raises UnreadableError."""
    if not _verified_before(store, path):
        verified_content(store, path)


# Files never change, so one look per process is enough; a file that was written again has another stamp.
_verified: set[tuple[str, str, object]] = set()


def _verified_before(store: Store, path: str) -> bool:
    return (store.url, path, store.stamp(path)) in _verified


@lru_cache(maxsize=8192)
def _footer(store: Store, path: str, stamp: object) -> Mapping[Session, StoredSession]:
    if stamp is None:
        raise UnreadableError("it is missing")
    try:
        with store.open(path) as source:
            return _parsed(pq.read_metadata(source))
    except (OSError, pa.ArrowException, UnreadableError):
        pass  # look at every byte, as above
    content = verified_content(store, path)
    try:
        return _parsed(pq.read_metadata(pa.BufferReader(content)))
    except (OSError, pa.ArrowException) as error:
        raise UnreadableError(f"its bytes are as written, but cannot be read: {error}") from error


def _parsed(metadata: pq.FileMetaData) -> Mapping[Session, StoredSession]:
    described = (metadata.metadata or {}).get(_SESSIONS_KEY)
    digest = (metadata.metadata or {}).get(_DIGEST_KEY, b"")
    if described is None or digest_bytes(described) != digest.decode(errors="replace"):
        raise UnreadableError("its footer does not hold what was written")
    sessions: dict[Session, StoredSession] = {}
    position = 0
    for label, content_id, count in json.loads(described):
        session = datetime.fromisoformat(label)
        sessions[session] = StoredSession(SessionSpan(session, position, position + count), content_id)
        position += count
    if position != metadata.num_rows:
        raise UnreadableError(f"its footer names {position} rows and counts {metadata.num_rows}")
    return sessions


def _loaded(source: pa.NativeFile, sessions: Collection[Session], chosen: Chosen) -> LoadedFile:
    columns = list(chosen.columns)
    file = pq.ParquetFile(source, page_checksum_verification=True, read_dictionary=list(chosen.coded))
    stored = _parsed(file.metadata)
    wanted = {session: stored[session] for session in sorted(sessions)}
    groups, starts = _groups_of(file.metadata, [each.span for each in wanted.values()])
    rows = file.read_row_groups(groups, columns=columns).select(columns).replace_schema_metadata(None)
    if chosen.glance:
        # The checksums leave out the headers of pages, and codes that point beyond their dictionary are followed.
        rows.validate(full=True)
    return LoadedFile(rows, wanted, starts)


def _groups_of(metadata: pq.FileMetaData, wanted: Sequence[SessionSpan]) -> tuple[list[int], dict[Session, int]]:
    """The row groups that hold the sessions, and where each session begins in their concatenation."""
    groups: list[int] = []
    starts: dict[Session, int] = {}
    pending = list(wanted)[::-1]
    begins = taken = 0
    for group in range(metadata.num_row_groups):
        ends = begins + metadata.row_group(group).num_rows
        found = len(pending)
        while pending and pending[-1].start < ends:
            span = pending.pop()
            starts[span.session] = taken + span.start - begins
        if len(pending) < found:
            groups.append(group)
            taken += ends - begins
        begins = ends
    return groups, starts
