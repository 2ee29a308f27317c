"""A model at rest: its manifest, its signature and its files; and the checks before any byte of them is parsed."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from quant_pipelines.digest import digest_bytes
from quant_pipelines.models import Forecaster, spec_named
from quant_pipelines.registry.failures import (
    CannotPack,
    FilesDiffer,
    HashMismatch,
    PathEscape,
    TooLarge,
    VersionRefused,
    VersionSwapped,
)
from quant_pipelines.registry.forms import refuse_foreign, require_form
from quant_pipelines.registry.manifest import FileFacts, Manifest, settings_of
from quant_pipelines.registry.signing import SIGNATURE_BYTES, Keys

MANIFEST, SIGNATURE = "manifest.json", "manifest.hmac"
_OURS = frozenset({MANIFEST, SIGNATURE})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_FILES_AT_MOST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a version may be. What is larger is refused before it is read."""

    manifest_bytes: int = 8 * 1024**2
    file_bytes: int = 2 * 1024**3
    total_bytes: int = 4 * 1024**3


LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A model and what it says about itself, as `pack` or `verified` has made it."""

    manifest: Manifest
    files: Mapping[str, bytes]

    def model(self) -> Forecaster:
        """The model, ready to predict."""
        return spec_named(self.manifest.kind).make(settings_of(self.manifest), self.files)


def pack(manifest: Manifest, files: Mapping[str, bytes], *, limits: Limits = LIMITS) -> Packed:
    """Put a fitted model's state and its manifest together. What could not be loaded again is not stored either."""
    reserved = sorted(_OURS & files.keys())
    if reserved:
        raise CannotPack(f"This {manifest.kind} has a file {reserved[0]}, which is the store's own name. Rename it.")
    facts = {name: FileFacts(sha256=digest_bytes(data), bytes=len(data)) for name, data in sorted(files.items())}
    packed = Packed(manifest=manifest.model_copy(update={"files": facts}), files=dict(files))
    try:
        _require_files(packed.manifest, packed.files, limits)
    except VersionRefused as error:
        raise CannotPack(f"This {manifest.kind} cannot be stored: {error}") from error
    return packed


def stored_form(packed: Packed, keys: Keys) -> dict[str, bytes]:
    """Every file of a version's data by its name, the manifest last."""
    text = packed.manifest.canonical()
    return {**packed.files, SIGNATURE: keys.sign(text), MANIFEST: text}


def verified(stored: Mapping[str, bytes], keys: Keys, *, limits: Limits = LIMITS) -> Packed:
    """The version whose bytes these are, by name; or the reason why it is none."""
    manifest = signed_manifest(stored, keys, limits=limits)
    files = {name: data for name, data in stored.items() if name not in _OURS}
    _require_files(manifest, files, limits)
    return Packed(manifest=manifest, files=files)


def signed_manifest(stored: Mapping[str, bytes], keys: Keys, *, limits: Limits = LIMITS) -> Manifest:
    """The manifest, once its signature was checked."""
    for name, most in ((SIGNATURE, SIGNATURE_BYTES), (MANIFEST, limits.manifest_bytes)):
        if name not in stored:
            raise FilesDiffer(f"The version has no {name}. Restore it from a backup, or train it again.")
        _require_size(name, len(stored[name]), most)
    keys.verify(stored[MANIFEST], stored[SIGNATURE])
    return Manifest.read(stored[MANIFEST])


def read_folder(folder: Path, *, limits: Limits = LIMITS) -> dict[str, bytes]:
    """Every file of a version's data. A link, a strange name or too many bytes end the reading."""
    if folder.is_symlink() or not folder.is_dir():
        raise FilesDiffer(f"{folder} is no folder of a version. Restore it from a backup, or train it again.")
    with os.scandir(folder) as entries:
        sizes = {entry.name: _size(entry, folder) for entry in entries}
    require_sizes(sizes, limits)
    return {name: _read(folder / name, most) for name, most in sorted(sizes.items())}


def require_is(manifest: Manifest, *, model: str, digest: str) -> None:
    """Refuse a version of ours that lies in another one's place, such as an older one."""
    if (manifest.model, manifest.digest) != (model, digest):
        raise VersionSwapped(
            f"Here should lie {model} {digest[:16]}, but {manifest.model} {manifest.digest[:16]} does. It is signed, "
            "but somebody put it in another one's place. Restore the version from a backup."
        )


def require_sizes(sizes: Mapping[str, int], limits: Limits = LIMITS) -> None:
    """Refuse what is larger than a version may be, or strangely named, before it is fetched."""
    if len(sizes) > _FILES_AT_MOST:
        raise TooLarge(f"The version has {len(sizes)} files, {_FILES_AT_MOST} are the most.")
    for name, size in sizes.items():
        _require_name(name)
        _require_size(name, size, limits.file_bytes)
    _require_size("the version", sum(sizes.values()), limits.total_bytes)


def _require_files(manifest: Manifest, files: Mapping[str, bytes], limits: Limits) -> None:
    for name in sorted({*manifest.files, *files}):
        _require_name(name)
    added, gone = sorted(files.keys() - manifest.files.keys()), sorted(manifest.files.keys() - files.keys())
    for name in added:
        refuse_foreign(name, files[name])
    if added or gone or not files:
        told = [f"{name} is not in its manifest" for name in added] + [f"{name} is missing" for name in gone]
        raise FilesDiffer(f"{manifest.model}: {'; '.join(told) or 'it has no file at all'}. Restore it from a backup.")
    _require_size("the version", sum(len(data) for data in files.values()), limits.total_bytes)
    for name, facts in manifest.files.items():
        data = files[name]
        _require_size(name, len(data), limits.file_bytes)
        if facts.bytes != len(data) or facts.sha256 != digest_bytes(data):
            raise HashMismatch(
                f"{name} of {manifest.model} is not what was signed for: {len(data)} bytes with SHA-256 "
                f"{digest_bytes(data)[:16]}, signed were {facts.bytes} with {facts.sha256[:16]}. Restore it from a "
                "backup, or train it again."
            )
    for name, data in files.items():
        require_form(manifest.kind, name, data)


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise PathEscape(f"{name!r} is no plain file name; nothing is read from or written to it.")


def _require_size(name: str, found: int, most: int) -> None:
    if found > most:
        raise TooLarge(f"{name} has {found} bytes, {most} are the most.")


def _size(entry: "os.DirEntry[str]", folder: Path) -> int:
    if entry.is_symlink() or not entry.is_file():
        raise PathEscape(f"{entry.name!r} in {folder} is no plain file. Nothing is read through links.")
    return entry.stat().st_size


def _read(path: Path, size: int) -> bytes:
    # Looked at before, but somebody may have put a link or a pipe there since.
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise PathEscape(f"{path} cannot be opened as a plain file: {error.strerror}.") from error
    with os.fdopen(handle, "rb") as file:
        return file.read(size)
