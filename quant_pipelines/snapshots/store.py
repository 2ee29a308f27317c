"""Where snapshots lie: documents and arrays, each file named by its content."""

from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quant_pipelines.clock import SystemClock
from quant_pipelines.digest import digest_bytes, digest_json
from quant_pipelines.lake.storage import STAGED_PREFIX, LocalStore, Store, store_at
from quant_pipelines.settings import Settings
from quant_pipelines.snapshots.document import Document, decoded
from quant_pipelines.snapshots.drafts import Draft, Stage
from quant_pipelines.snapshots.failures import SnapshotDamaged, UnknownSnapshot

PART_BYTES = 16 * 1024 * 1024
_FRESH = timedelta(hours=1)
_SHORTEST_PREFIX = 6
# Beside the markets' folders, whose names begin with a letter.
_FOLDER = "_snapshots"
_DOCUMENTS, _RECIPES, _BLOBS = "documents", "recipes", "blobs"


def blob_id(content: memoryview, threads: int = 1) -> str:
    """The content's name: a digest of the digests of its parts, so that several cores can look at once."""
    parts = [content[begin : begin + PART_BYTES] for begin in range(0, len(content), PART_BYTES)]
    with ThreadPoolExecutor(threads) as pool:
        digests = list(pool.map(digest_bytes, parts))
    return digest_json([len(content), digests])


@dataclass(frozen=True)
class SnapshotStore:
    """A local folder from which arrays are mapped; where the lake is an object store, all of it is there too."""

    local: LocalStore
    remote: Store | None = None
    threads: int = 1

    def put_blob(self, content: NDArray[np.uint8]) -> str:
        """Store the bytes once; a damaged file of their name is written again."""
        name = blob_id(content.data, self.threads)
        return self._put(name, lambda path: self.local.put(path, pa.py_buffer(content)))

    @contextmanager
    def drafting(self) -> Generator[Stage]:
        """Where drafts lie until they are put; those that were not are gone afterwards.

        What a process leaves that was killed is listed by retention as what no document names.
        """
        staged: list[Path] = []

        def stage(size: int) -> Path:
            staged.append(self.local.stage(str(Path(_blob_path(STAGED_PREFIX)).parent), size))
            return staged[-1]

        try:
            yield stage
        finally:
            for each in staged:
                each.unlink(missing_ok=True)

    def put_draft(self, draft: Draft) -> str:
        """Let the draft's own file be the blob."""
        file = draft.file
        if file is None:
            raise ValueError("A draft in memory cannot be put. Make it with the stage of `drafting`.")
        # Hashed before it is synced: to read a mapped file while it is written to the disk took 1.7 times as long.
        name = blob_id(draft.content.data, self.threads)
        return self._put(name, lambda path: self.local.adopt(file, path))

    def put_array(self, array: NDArray[Any]) -> str:
        with self.drafting() as stage:
            return self.put_draft(Draft.of(array, stage))

    def _put(self, name: str, write: Callable[[str], None]) -> str:
        path = _blob_path(name)
        if not self._holds(self.local, name):
            write(path)
        elif SystemClock().now() - self.written_at(name) > _FRESH:
            # Wanted again: retention must not take it for a leftover before its document is there.
            (self.local.root / path).touch()
        _verified.add((self.local.url, name, self.local.stamp(path)))
        if self.remote is not None and self.remote.stamp(path) is None:
            self.remote.put(path, pa.py_buffer(np.memmap(self.local.root / path, np.uint8, "r")))
        return name

    def blob(self, name: str) -> Path:
        """The file, every byte of it compared with its name once per process; fetched where it is only remote."""
        path = _blob_path(name)
        stamp = self.local.stamp(path)
        if stamp is None and self.remote is not None and self.remote.stamp(path) is not None:
            self.local.put(path, self.remote.read(path))
            stamp = self.local.stamp(path)
        if (self.local.url, name, stamp) not in _verified:
            self._require_intact(name, stamp)
            _verified.add((self.local.url, name, stamp))
        return self.local.root / path

    def text(self, name: str) -> str:
        return self.blob(name).read_text(encoding="utf-8")

    def array(self, name: str) -> NDArray[Any]:
        """The array, mapped into memory: nothing is read before it is used."""
        path = self.blob(name)
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, _ = np.lib.format.read_array_header_1_0(file)
        # An array without elements has nothing to map.
        return np.load(path, mmap_mode="r" if 0 not in shape else None, allow_pickle=False)

    def blob_damage(self, name: str) -> str | None:
        """What the file's bytes have for a name where it is not their own."""
        return self._found(self.local, name)

    def put(self, document: Document) -> None:
        """Make the snapshot known; its blobs must be there."""
        content = pa.py_buffer(document.encoded())
        pointer = pa.py_buffer(document.id.encode())
        for store in self._stores:
            for path, what in ((_document_path(document.id), content), (_recipe_path(document.recipe.id), pointer)):
                if store.stamp(path) is None:
                    store.put(path, what)

    def made_of(self, recipe_id: str) -> Document | None:
        """The snapshot that a recipe gave before, if it and all of its files are still there."""
        content = self._read(_recipe_path(recipe_id))
        if content is None:
            return None
        try:
            document = self.document(content.decode(errors="replace"))
        except (UnknownSnapshot, SnapshotDamaged):
            return None  # it is made anew, and what is damaged is written again
        whole = document.recipe.id == recipe_id and all(self._present(each) for each in document.blobs)
        return document if whole else None

    def document(self, snapshot_id: str) -> Document:
        """The snapshot of this id."""
        content = self._read(_document_path(snapshot_id))
        if content is None:
            raise UnknownSnapshot(f"There is no snapshot {snapshot_id!r}. Look at `qp snapshot list`.")
        return decoded(content, _document_path(snapshot_id), snapshot_id)

    def named(self, prefix: str) -> Document:
        """The one snapshot whose id begins so."""
        found = [each for each in self.ids() if each.startswith(prefix)]
        if len(found) != 1 or len(prefix) < _SHORTEST_PREFIX:
            what = f"{len(found)} snapshots begin with" if found else "There is no snapshot"
            raise UnknownSnapshot(
                f"{what} {prefix!r}. Give at least {_SHORTEST_PREFIX} characters of one id of `qp snapshot list`."
            )
        return self.document(found[0])

    def ids(self) -> Sequence[str]:
        """Every snapshot that is known here."""
        return sorted(path.stem for path in (self.local.root / _DOCUMENTS).glob("*.json"))

    def documents(self) -> Iterator[Document]:
        """All snapshots, oldest first."""
        found = [self.document(each) for each in self.ids()]
        yield from sorted(found, key=lambda each: (each.provenance.created_at, each.recipe.cutoff, each.id))

    def blobs(self) -> dict[str, int]:
        """Every stored blob, and its size."""
        return {path.name: path.stat().st_size for path in (self.local.root / _BLOBS).glob("*/*") if _is_blob(path)}

    def written_at(self, blob: str) -> datetime:
        """When the file was last written, or wanted by a build."""
        return datetime.fromtimestamp((self.local.root / _blob_path(blob)).stat().st_mtime, UTC)

    def forget(self, document: Document) -> None:
        """Drop the document; blobs that nobody else names are dropped one by one."""
        for path in (_recipe_path(document.recipe.id), _document_path(document.id)):
            (self.local.root / path).unlink(missing_ok=True)

    def drop(self, blob: str) -> None:
        (self.local.root / _blob_path(blob)).unlink(missing_ok=True)

    @property
    def _stores(self) -> tuple[Store, ...]:
        return (self.local,) if self.remote is None else (self.remote, self.local)

    def _read(self, path: str) -> bytes | None:
        for store in reversed(self._stores):
            if store.stamp(path) is not None:
                return store.read(path).to_pybytes()
        return None

    def _present(self, blob: str) -> bool:
        return any(store.stamp(_blob_path(blob)) is not None for store in self._stores)

    def _holds(self, store: Store, name: str) -> bool:
        return store.stamp(_blob_path(name)) is not None and self._found(store, name) is None

    def _found(self, store: Store, name: str) -> str | None:
        try:
            found = blob_id(memoryview(store.read(_blob_path(name))), self.threads)
        except FileNotFoundError:
            return "no such file"
        return None if found == name else found

    def _require_intact(self, name: str, stamp: Hashable) -> None:
        # Mapped, not read: a gigabyte is looked at without a copy of it.
        found = "no such file"
        if stamp is not None:
            content = np.memmap(self.local.root / _blob_path(name), np.uint8, "r")
            found = blob_id(content.data, self.threads)
        if found != name:
            raise SnapshotDamaged(
                f"File {_blob_path(name)} of the snapshots is damaged: expected the content {name[:16]}, found "
                f"{found[:16]}. Delete it and build the snapshot again, or restore it from a backup."
            )


# Files never change, so one look per process is enough; a file that was written again has another stamp.
_verified: set[tuple[str, str, Hashable]] = set()


def open_snapshots(settings: Settings) -> SnapshotStore:
    """The installation's snapshots: under its home, and in the lake's object store where it has one."""
    local = LocalStore(settings.home_path / "snapshots")
    (local.root / _DOCUMENTS).mkdir(parents=True, exist_ok=True)
    remote = None
    if settings.lake_root.startswith("s3://"):
        remote = store_at(settings.lake_root, _FOLDER, settings.lake_options, local.trace)
    return SnapshotStore(local, remote, settings.threads)


def _is_blob(path: Path) -> bool:
    return path.name.startswith(path.parent.name)


def _blob_path(name: str) -> str:
    return f"{_BLOBS}/{name[:2]}/{name}"


def _document_path(snapshot_id: str) -> str:
    return f"{_DOCUMENTS}/{snapshot_id}.json"


def _recipe_path(recipe_id: str) -> str:
    return f"{_RECIPES}/{recipe_id}"
