"""From a file on disk to the documents in it: plain, gzip, zip. Nothing is ever unpacked onto the disk."""

import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from quant_pipelines.sources.files.refusals import Unreadable

Kind = Literal["text", "parquet"]
_TEXT = (".csv", ".txt", ".tsv")
_PARQUET = (".parquet", ".pq")
READABLE = (*_TEXT, *_PARQUET, ".gz", ".zip")
_SIGNATURES: dict[bytes, tuple[str, str]] = {
    b"\x1f\x8b": ("a gzip archive", ".gz"),
    b"PK\x03\x04": ("a zip archive or an Excel workbook", ".zip"),
    b"PAR1": ("a Parquet file", ".parquet"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", ""),
    b"%PDF": ("a PDF", ""),
}
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one file may hold once unpacked, and how much is remembered between requests."""

    document_bytes: int = 2 << 30
    archive_bytes: int = 4 << 30
    members: int = 20_000
    remembered_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One table's bytes. `stem` is the name a symbol may be taken from."""

    place: str
    stem: str
    kind: Kind
    container: str
    data: bytes


def is_readable(name: str) -> bool:
    """True for the names this source looks into; hidden files and other suffixes are left alone."""
    path = PurePosixPath(name)
    return path.suffix.lower() in READABLE and not path.name.startswith((".", "~$"))


def documents_in(place: str, data: bytes, limits: Limits) -> Iterator[Document]:
    """Every document of a file, in the order of their names."""
    name = PurePosixPath(place)
    suffix = name.suffix.lower()
    if not data:
        raise Unreadable("empty (0 bytes); expected at least a header line. Deliver it again.")
    if suffix == ".zip":
        yield from _zip_members(place, data, limits)
    elif suffix == ".gz":
        inner = PurePosixPath(name.stem)
        if inner.suffix and inner.suffix.lower() in (*_PARQUET, ".zip", ".gz", ".tar"):
            raise Unreadable(f"a {inner.suffix} inside gzip is not read. Deliver it without the gzip around it.")
        yield _text(place, _stem(inner), "csv.gz", _gunzipped(data, limits))
    elif suffix in _PARQUET:
        yield Document(place=place, stem=name.stem, kind="parquet", container="parquet", data=data)
    else:
        yield _text(place, name.stem, "csv", data)


def _stem(name: PurePosixPath) -> str:
    return name.stem if name.suffix.lower() in (*_TEXT, *_PARQUET) else name.name


def _text(place: str, stem: str, container: str, data: bytes, where: str | None = None) -> Document:
    if not data:
        raise Unreadable("empty (0 bytes) once unpacked; expected at least a header line.", where=where)
    for signature, (found, suffix) in _SIGNATURES.items():
        if data.startswith(signature):
            remedy = f"Name it {suffix}" if suffix else "Export it as CSV"
            raise Unreadable(f"named like text, but holds {found}. {remedy}.", where=where)
    return Document(place=place, stem=stem, kind="text", container=container, data=data)


def _gunzipped(data: bytes, limits: Limits) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            unpacked = stream.read(limits.document_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable(f"damaged or cut-off gzip ({error}). Deliver it again.") from error
    _check_size(len(unpacked), limits.document_bytes)
    return unpacked


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise Unreadable(f"unpacks to more than {limit:,} bytes, the most one document may hold. Split it.")


def _zip_members(place: str, data: bytes, limits: Limits) -> Iterator[Document]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _DAMAGE as error:
        raise Unreadable(f"damaged or cut-off zip ({error}). Deliver it again.") from error
    with archive:
        members = _bar_members(archive, limits)
        for member in members:
            yield _member(place, archive, member, alone=len(members) == 1, limits=limits)


def _bar_members(archive: zipfile.ZipFile, limits: Limits) -> list[zipfile.ZipInfo]:
    # Not is_dir(): it fails on the empty name that a damaged archive may hold.
    everything = [info for info in archive.infolist() if not info.filename.endswith("/")]
    if len(everything) > limits.members:
        raise Unreadable(f"holds {len(everything):,} members; at most {limits.members:,} are read. Split it.")
    if sum(info.file_size for info in everything) > limits.archive_bytes:
        raise Unreadable(
            f"unpacks to more than {limits.archive_bytes:,} bytes, the most an archive may hold. Split it."
        )
    members = [info for info in everything if is_readable(info.filename) and not info.filename.startswith("__MACOSX/")]
    names = [info.filename for info in members]
    if len(set(names)) < len(names):
        raise Unreadable("two members have the same name. Deliver each once.")
    if not members:
        found = ", ".join(sorted(info.filename for info in everything)[:5]) or "nothing"
        raise Unreadable(f"holds no CSV or Parquet member, but {found}. Deliver bars or exclude it by pattern.")
    return sorted(members, key=lambda info: info.filename)


def _member(place: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, *, alone: bool, limits: Limits) -> Document:
    name = PurePosixPath(info.filename)
    where = f"member {info.filename}"
    if name.suffix.lower() in (".zip", ".gz"):
        raise Unreadable("an archive inside an archive is not read. Deliver it unpacked once.", where=where)
    if info.flag_bits & 1:
        raise Unreadable("the member is encrypted. Deliver it without a password.", where=where)
    _check_size(info.file_size, limits.document_bytes)
    try:
        with archive.open(info) as stream:
            data = stream.read(limits.document_bytes + 1)
    except _DAMAGE as error:
        raise Unreadable(f"damaged or cut-off zip member ({error}). Deliver it again.", where=where) from error
    _check_size(len(data), limits.document_bytes)
    # One member is the file in a wrapper, so the wrapper's name counts; of several, each has its own.
    stem = PurePosixPath(place).stem if alone else name.stem
    inside = f"{place}/{info.filename}"
    if name.suffix.lower() in _PARQUET:
        return Document(place=inside, stem=stem, kind="parquet", container="zip", data=data)
    return _text(inside, stem, "zip", data, where)
