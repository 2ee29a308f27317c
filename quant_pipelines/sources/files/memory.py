"""What a source remembers between requests: all summaries, and rows up to a number of bytes."""

import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field

from quant_pipelines.sources.files.refusals import FileRefused
from quant_pipelines.sources.files.rows import Rows, Summary


@dataclass(frozen=True, slots=True, order=True)
class FileKey:
    """A file as the disk describes it; an edit that keeps size and time, to the nanosecond, goes unseen."""

    place: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file is not read. A value, since an exception raised twice would carry its first traceback along."""

    place: str
    reason: str
    where: str | None

    def error(self) -> FileRefused:
        return FileRefused(self.place, self.reason, where=self.where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is kept of a file for as long as it does not change: a summary per document, or why it was refused."""

    digest: str = ""
    summaries: tuple[Summary, ...] = ()
    refusal: Refusal | None = None


@dataclass(slots=True)
class Memory:
    """Safe to use from several threads; two of them may at worst read the same file twice."""

    limit_bytes: int
    _known: dict[FileKey, Known] = field(default_factory=dict)
    _rows: OrderedDict[FileKey, tuple[Rows, ...]] = field(default_factory=OrderedDict)
    _bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def known(self, key: FileKey) -> Known | None:
        return self._known.get(key)

    def rows(self, key: FileKey) -> tuple[Rows, ...] | None:
        """The rows of a file's documents, if they are still here."""
        with self._lock:
            rows = self._rows.get(key)
            if rows is not None:
                self._rows.move_to_end(key)
            return rows

    def keep(self, key: FileKey, known: Known, rows: tuple[Rows, ...]) -> None:
        """Remember a file; the rows used longest ago make room."""
        with self._lock:
            self._known[key] = known
            self._drop_rows(key)
            self._rows[key] = rows
            self._bytes += _size(rows)
            while self._bytes > self.limit_bytes:
                self._drop_rows(next(iter(self._rows)))

    def forget_all_but(self, keys: Collection[FileKey]) -> None:
        """Files that changed or went away are not kept."""
        with self._lock:
            for key in self._known.keys() - set(keys):
                del self._known[key]
                self._drop_rows(key)

    def _drop_rows(self, key: FileKey) -> None:
        self._bytes -= _size(self._rows.pop(key, ()))


def _size(rows: tuple[Rows, ...]) -> int:
    return sum(each.nbytes for each in rows)
