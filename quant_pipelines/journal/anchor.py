"""The anchor: the newest row's number and hash, kept outside the database.

A hash chain alone cannot tell that its newest rows were cut off, or that all of it was written anew.
"""

import fcntl
import json
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from quant_pipelines.journal.failures import JournalDamaged

_HASH = re.compile(r"[0-9a-f]{64}")
_NO_HASH = "0" * 64


@dataclass(frozen=True, slots=True)
class Head:
    """A row's number and hash: a witness of the whole chain up to it."""

    sequence: int
    hash: str


# What the first row follows.
GENESIS = Head(0, _NO_HASH)


class Anchor(Protocol):
    """Keeps one head, and never an older one in place of a newer."""

    @property
    def name(self) -> str: ...

    def read(self) -> Head | None: ...

    def advance(self, head: Head) -> None:
        """Keep this head, unless a newer one is kept already."""
        ...

    def replace(self, head: Head) -> None:
        """Keep this head whatever was kept: a person has decided so."""
        ...


@dataclass(frozen=True, slots=True)
class FileAnchor:
    """A file of one line. Whoever reads it sees the old head or the new one, never half of one."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def read(self) -> Head | None:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise JournalDamaged(f"The journal's anchor {self.path} is no text.") from error
        head = _parsed(text)
        if head is None:
            raise JournalDamaged(f"The journal's anchor {self.path} holds {text[:80]!r}, not a row's number and hash.")
        return head

    def advance(self, head: Head) -> None:
        with self._alone():
            kept = self.read()
            if kept is None or kept.sequence < head.sequence:
                self._write(head)

    def replace(self, head: Head) -> None:
        with self._alone():
            self._write(head)

    @contextmanager
    def _alone(self) -> Generator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(f"{self.path.name}.lock").open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _write(self, head: Head) -> None:
        # Under the lock nobody else stages; what a killed writer left there is overwritten.
        staged = self.path.with_name(f"{self.path.name}.new")
        with staged.open("w", encoding="utf-8") as file:
            file.write(json.dumps(asdict(head)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        staged.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _parsed(text: str) -> Head | None:
    try:
        fields = json.loads(text)
        head = Head(**fields)
    except (ValueError, TypeError):
        return None
    fits = type(head.sequence) is int and head.sequence >= 0 and isinstance(head.hash, str)  # pyright: ignore[reportUnnecessaryIsInstance]
    return head if fits and _HASH.fullmatch(head.hash) else None
