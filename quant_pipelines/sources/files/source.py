"""Bars from files on disk, as a source that promises what every source promises."""

import codecs
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa

from quant_pipelines.calendars import Calendar, Session
from quant_pipelines.digest import digest_bytes, digest_json
from quant_pipelines.markets.market import FilesSource
from quant_pipelines.sources.files.aliases import SYMBOL_COLUMN
from quant_pipelines.sources.files.assembly import assemble, label_number, label_of
from quant_pipelines.sources.files.columns import wanted_columns
from quant_pipelines.sources.files.documents import Document, Limits, documents_in, is_readable
from quant_pipelines.sources.files.factors import Factors, check_adjustment, factor_files_digest, starts_of
from quant_pipelines.sources.files.memory import FileKey, Known, Memory, Refusal
from quant_pipelines.sources.files.parquet import read_parquet
from quant_pipelines.sources.files.refusals import (
    FileChanging,
    FilesMisconfigured,
    FilesMissing,
    FilesRefused,
    Unreadable,
)
from quant_pipelines.sources.files.rows import Dialect, Rows, Summary, summarise
from quant_pipelines.sources.files.symbols import symbol_rule
from quant_pipelines.sources.files.text import Reading, read_text
from quant_pipelines.sources.protocol import BarRequest, Listing, Watermark

# Part of every token: a reader that answers differently is a different source.
_READER = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What one document turned out to be, or why it was refused; `symbols` counts those with rows."""

    place: str
    dialect: Dialect | None = None
    rows: int = 0
    first: Session | None = None
    last: Session | None = None
    symbols: int = 0
    refusal: str | None = None


class FileBars:
    """Bars from one file or a folder of files: CSV, CSV.gz, zip and Parquet."""

    def __init__(self, config: FilesSource, calendar: Calendar, limits: Limits | None = None) -> None:
        self._config = config
        self._limits = limits or Limits()
        self._memory = Memory(self._limits.remembered_bytes)
        self._factors = Factors(config.adjustment)
        self._reading = _reading_of(config, calendar)

    @property
    def name(self) -> str:
        return f"files:{self._config.path}"

    @property
    def prices_are_raw(self) -> bool:
        return self._config.adjustment.kind != "already_adjusted"

    @property
    def missing_credentials(self) -> tuple[str, ...]:
        return ()

    def listings(self) -> tuple[Listing, ...]:
        """Every symbol with at least one row, listed from its first; when it left is not known."""
        starts = starts_of(self._summaries(self._files()))
        return tuple(Listing(symbol=symbol, listed=label_of(starts[symbol])) for symbol in sorted(starts))

    def bars(self, request: BarRequest) -> pa.Table:
        files = self._files()
        summaries = self._summaries(files)
        wanted = [key for key in files if _may_answer(self._known(key), request)]
        rows = (each for documents in self._rows(wanted) for each in documents)
        return assemble(rows, request, self._factors, summaries)

    def watermark(self) -> Watermark:
        """The last label among all files, and a token made of their contents and the market's entry."""
        files = self._files()
        lasts = [summary.last for summary in self._summaries(files) if summary.last is not None]
        path = self._config.adjustment.path
        token = digest_json(
            {
                "reader": _READER,
                "entry": self._config.model_dump(mode="json", exclude={"path": True, "adjustment": {"path"}}),
                "calendar": [self._reading.calendar.timezone, self._reading.calendar.step.total_seconds()],
                "files": [[key.place, self._known(key).digest] for key in files],
                "factors": None if path is None else factor_files_digest(path),
            }
        )
        return Watermark(last_session=label_of(max(lasts)) if lasts else None, token=token)

    def survey(self) -> tuple[FileReport, ...]:
        """Every document with its dialect, files without rows and refused ones included."""
        files = self._files()
        self._learn(files)
        return tuple(report for key in files for report in _reports(self._known(key)))

    def dialects(self) -> dict[Dialect, tuple[str, ...]]:
        """The dialects found, each with the documents written in it."""
        found: dict[Dialect, tuple[str, ...]] = {}
        for report in self.survey():
            if report.dialect is not None:
                found[report.dialect] = (*found.get(report.dialect, ()), report.place)
        return found

    def ignored(self) -> tuple[str, ...]:
        """Files that fit the pattern but are of no kind this source reads."""
        if self._config.path.is_file():
            return ()
        found = self._config.path.glob(self._config.pattern)
        return tuple(sorted(path.name for path in found if path.is_file() and not is_readable(path.name)))

    def _files(self) -> list[FileKey]:
        files = _list_files(self._config)
        self._memory.forget_all_but(files)
        return files

    def _known(self, key: FileKey) -> Known:
        known = self._memory.known(key)
        if known is None:
            raise FileChanging(key.place)
        return known

    def _summaries(self, files: Sequence[FileKey]) -> list[Summary]:
        """The summaries of all files; a single file that cannot be read refuses the answer."""
        self._learn(files)
        known = [self._known(key) for key in files]
        refused = [each.refusal.error() for each in known if each.refusal is not None]
        if len(refused) == 1:
            raise refused[0]
        if refused:
            raise FilesRefused(refused)
        return [summary for each in known for summary in each.summaries]

    def _learn(self, files: Sequence[FileKey]) -> None:
        unknown = [key for key in files if self._memory.known(key) is None]
        for _ in self._read(unknown):
            pass

    def _rows(self, files: Sequence[FileKey]) -> list[tuple[Rows, ...]]:
        found = {key: self._memory.rows(key) for key in files}
        forgotten = [key for key, rows in found.items() if rows is None]
        found.update(zip(forgotten, self._read(forgotten), strict=True))
        return [rows for rows in found.values() if rows is not None]

    def _read(self, files: Sequence[FileKey]) -> Iterable[tuple[Rows, ...]]:
        if len(files) <= 1:
            return [self._read_file(key) for key in files]
        # Arrow and zlib let go of the interpreter, so threads help.
        with ThreadPoolExecutor(max_workers=min(len(files), pa.cpu_count())) as pool:
            return list(pool.map(self._read_file, files))

    def _read_file(self, key: FileKey) -> tuple[Rows, ...]:
        documents: list[Rows] = []
        summaries: list[Summary] = []
        place = key.place
        try:
            data = _bytes_of(self._config.path, key, self._limits)
            for document in documents_in(key.place, data, self._limits):
                place = document.place
                rows, dialect = self._read_document(document)
                documents.append(rows)
                summaries.append(summarise(place, rows, dialect))
                place = key.place
            known = Known(digest=digest_bytes(data), summaries=tuple(summaries))
        except Unreadable as fault:
            known, documents = Known(refusal=Refusal(place, fault.reason, fault.where)), []
        self._memory.keep(key, known, tuple(documents))
        return tuple(documents)

    def _read_document(self, document: Document) -> tuple[Rows, Dialect]:
        return (
            read_parquet(document, self._reading) if document.kind == "parquet" else read_text(document, self._reading)
        )


def _reading_of(config: FilesSource, calendar: Calendar) -> Reading:
    """The entry's words, checked as a whole before any file is opened."""
    check_adjustment(config.adjustment)
    rule, symbol_column = symbol_rule(config.symbol)
    if symbol_column is not None:
        config = config.model_copy(update={"columns": {**config.columns, SYMBOL_COLUMN: symbol_column}})
    if config.encoding is not None:
        try:
            codecs.lookup(config.encoding)
        except LookupError as error:
            raise FilesMisconfigured(f"Unknown encoding {config.encoding!r}. Use e.g. utf-8 or gb18030.") from error
    if PurePosixPath(config.pattern).is_absolute() or ".." in PurePosixPath(config.pattern).parts or not config.pattern:
        raise FilesMisconfigured(f"pattern {config.pattern!r} leaves the folder. Use a pattern inside it, e.g. *.csv.")
    return Reading(
        wanted=wanted_columns(config),
        calendar=calendar,
        symbol=rule,
        date_format=config.date_format,
        encoding=config.encoding,
    )


def _list_files(config: FilesSource) -> list[FileKey]:
    """The files of the entry, by name. Hidden files and those of other kinds are left alone."""
    try:
        if config.path.is_file():
            return [_key(config.path, config.path.name)]
        if not config.path.is_dir():
            raise FilesMissing(f"Nothing at {config.path}. Correct the source's path, or mount the folder.")
        paths = [path for path in config.path.glob(config.pattern) if is_readable(path.name)]
        files = sorted(_key(path, path.relative_to(config.path).as_posix()) for path in paths if path.is_file())
    except PermissionError as error:
        raise FilesMissing(f"No permission to read {error.filename}. Grant it to the user of this process.") from error
    except FileNotFoundError as error:
        raise FileChanging(str(error.filename)) from error
    if not files:
        raise FilesMissing(
            f"No CSV, CSV.gz, zip or Parquet file fits {config.pattern!r} in {config.path}. "
            "Correct pattern, or deliver the files."
        )
    return files


def _key(path: Path, place: str) -> FileKey:
    status = path.stat()
    return FileKey(place, status.st_size, status.st_mtime_ns)


def _bytes_of(root: Path, key: FileKey, limits: Limits) -> bytes:
    """A file's bytes, if it is still the file that was listed."""
    path = root if root.is_file() else root / key.place
    if key.size > limits.document_bytes:
        raise Unreadable(f"{key.size:,} bytes, more than the {limits.document_bytes:,} that a file may have. Split it.")
    try:
        data = path.read_bytes()
        unchanged = _key(path, key.place) == key and len(data) == key.size
    except PermissionError as error:
        raise FilesMissing(f"No permission to read {path}. Grant it to the user of this process.") from error
    except OSError as error:
        raise FileChanging(key.place) from error
    if not unchanged:
        raise FileChanging(key.place)
    return data


def _may_answer(known: Known, request: BarRequest) -> bool:
    first, last = label_number(request.first), label_number(request.last)
    return any(
        each.first is not None
        and each.last is not None
        and each.first <= last
        and each.last >= first
        and (request.symbols is None or not request.symbols.isdisjoint(each.starts))
        for each in known.summaries
    )


def _reports(known: Known) -> list[FileReport]:
    if known.refusal is not None:
        return [FileReport(place=known.refusal.place, refusal=str(known.refusal.error()))]
    return [
        FileReport(
            place=each.place,
            dialect=each.dialect,
            rows=each.rows,
            first=None if each.first is None else label_of(each.first),
            last=None if each.last is None else label_of(each.last),
            symbols=len(each.starts),
        )
        for each in known.summaries
    ]
