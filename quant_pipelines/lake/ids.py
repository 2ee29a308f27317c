"""Content ids: what a session holds, named by its bytes.

Equal rows have equal ids, whatever their order, chunks, encoding or file. Missing is null. 0.0 and -0.0 differ.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.arrays import SESSION
from quant_pipelines.calendars import Session
from quant_pipelines.digest import digest_bytes, digest_json
from quant_pipelines.lake.schemas import TableSchema

# Our own names: an id must not change because a library words its types differently.
TYPE_NAMES: dict[pa.DataType, str] = {
    pa.bool_(): "bool",
    pa.int8(): "int8",
    pa.int16(): "int16",
    pa.int32(): "int32",
    pa.int64(): "int64",
    pa.float32(): "float32",
    pa.float64(): "float64",
    pa.string(): "text",
    pa.date32(): "date",
    pa.timestamp("us"): "label_us",
    pa.timestamp("us", "UTC"): "instant_us",
}


def identity_fingerprint(schema: TableSchema) -> str:
    """What a content id says about columns: the key, and the identity columns with their types."""
    types = {column.name: TYPE_NAMES[column.type] for column in schema.columns}
    return digest_json({"key": list(schema.key), "columns": [[name, types[name]] for name in schema.identity]})


@dataclass(frozen=True, slots=True)
class SessionSpan:
    """Rows start to stop of a table sorted by key belong to one session."""

    session: Session
    start: int
    stop: int

    @property
    def count(self) -> int:
        return self.stop - self.start


def session_spans(sessions: pa.ChunkedArray) -> list[SessionSpan]:
    """Where each session lies in a sorted column."""
    labels = sessions.to_numpy()
    if labels.size == 0:
        return []
    starts = np.concatenate([[0], np.flatnonzero(labels[1:] != labels[:-1]) + 1])
    stops = np.append(starts[1:], labels.size)
    names: list[Session] = labels[starts].astype("datetime64[us]").astype(object).tolist()
    return [SessionSpan(*each) for each in zip(names, starts.tolist(), stops.tolist(), strict=True)]


def content_ids(rows: pa.Table, schema: TableSchema) -> dict[Session, str]:
    """One id per session of clean rows in key order."""
    header = bytes.fromhex(identity_fingerprint(schema))
    columns = [_encoded(rows[name]) for name in schema.identity]
    return {span.session: _content_id(header, columns, span) for span in session_spans(rows[SESSION])}


class _Encoded(Protocol):
    def parts(self, start: int, stop: int) -> Iterator[bytes | memoryview]: ...


def _content_id(header: bytes, columns: Sequence[_Encoded], span: SessionSpan) -> str:
    # With the row count up front every part's length follows from the parts before it: no two contents
    # share an encoding.
    parts: list[bytes | memoryview] = [header, (span.stop - span.start).to_bytes(8, "little")]
    for column in columns:
        parts.extend(column.parts(span.start, span.stop))
    return digest_bytes(*parts)


@dataclass(frozen=True, slots=True)
class _Fixed:
    """Values of one width, zero where missing."""

    values: np.ndarray
    missing: np.ndarray | None

    def parts(self, start: int, stop: int) -> Iterator[bytes | memoryview]:
        yield _missing_part(self.missing, start, stop)
        yield self.values[start:stop].data


@dataclass(frozen=True, slots=True)
class _Text:
    """Lengths, then all bytes; empty where missing."""

    offsets: np.ndarray
    data: memoryview
    missing: np.ndarray | None

    def parts(self, start: int, stop: int) -> Iterator[bytes | memoryview]:
        yield _missing_part(self.missing, start, stop)
        yield np.diff(self.offsets[start : stop + 1]).astype("<u4").data
        yield self.data[self.offsets[start] : self.offsets[stop]]


def _missing_part(missing: np.ndarray | None, start: int, stop: int) -> bytes:
    if missing is None or not missing[start:stop].any():
        return b"\x00"
    return b"\x01" + np.packbits(missing[start:stop]).tobytes()


def _encoded(column: pa.ChunkedArray) -> _Encoded:
    array = column.combine_chunks()
    missing = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    if pa.types.is_string(array.type):
        return _encoded_text(pc.fill_null(array, "") if missing is not None else array, missing)
    numbers = as_integers(array)
    filled = pc.fill_null(numbers, 0) if missing is not None else numbers
    return _Fixed(np.ascontiguousarray(filled.to_numpy(zero_copy_only=False)), missing)


def as_integers(array: pa.Array) -> pa.Array:
    """The bits, seen as an integer of the same width: floats are compared and hashed bit by bit."""
    if pa.types.is_boolean(array.type):
        return array.cast(pa.int8())
    return array.view({8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[array.type.bit_width])


def _encoded_text(array: pa.StringArray, missing: np.ndarray | None) -> _Text:
    if len(array) == 0:
        return _Text(np.zeros(1, np.int32), memoryview(b""), missing)
    _, offsets_buffer, data = array.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[array.offset : array.offset + len(array) + 1]
    return _Text(offsets, memoryview(data if data is not None else b""), missing)
