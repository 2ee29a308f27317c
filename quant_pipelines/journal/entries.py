"""What is written into the journal, what is read from it, and the hash that chains the two."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Self

from sqlalchemy import RowMapping

from quant_pipelines.digest import digest_json
from quant_pipelines.journal.anchor import Head
from quant_pipelines.journal.failures import EntryRefused, JournalDamaged

_KIND = re.compile(r"[a-z][a-z0-9_]*")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What somebody wants on record. `kind` says what the payload means; `subject` is what it is about."""

    kind: str
    subject: str
    actor: str
    payload: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if not _KIND.fullmatch(self.kind):
            raise EntryRefused(f"{self.kind!r} names no kind of entry. Use small letters, digits and _.")
        for name in ("subject", "actor"):
            require_text(name, getattr(self, name))
        require_json(self.payload, "payload")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One entry on record. Rows are ordered by their sequence; a clock may go back, the sequence does not."""

    sequence: int
    key: str | None
    kind: str
    subject: str
    actor: str
    payload: Mapping[str, Any]
    recorded_at: datetime
    previous: str
    hash: str

    @property
    def head(self) -> Head:
        """The chain up to this row, for whoever wants to witness it."""
        return Head(self.sequence, self.hash)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A row as the database holds it, which may be anything."""

    sequence: int
    key: str | None
    kind: str
    subject: str
    actor: str
    payload: str
    recorded_at: str
    previous: str
    hash: str

    @classmethod
    def of(cls, mapping: RowMapping) -> Self:
        return cls(**mapping)

    @classmethod
    def following(cls, head: Head, entry: Entry, *, key: str | None, at: datetime) -> Self:
        """The entry as the row after this head."""
        fields: dict[str, Any] = {
            "sequence": head.sequence + 1,
            "key": key,
            "kind": entry.kind,
            "subject": entry.subject,
            "actor": entry.actor,
            "payload": payload_text(entry.payload),
            "recorded_at": at.astimezone(UTC).isoformat(timespec="microseconds"),
            "previous": head.hash,
        }
        return cls(**fields, hash=digest_json(fields))

    def fits(self, sequence: int) -> bool:
        """Whether the hash is that of this content as the row of this number."""
        return self._hash_at(sequence) == self.hash

    def _hash_at(self, sequence: int) -> str | None:
        try:
            return digest_json({**self._hashed, "sequence": sequence})
        except (TypeError, UnicodeEncodeError):
            return None  # bytes where a text belongs, or a text that none is: nothing of ours

    @cached_property
    def _hashed(self) -> dict[str, Any]:
        # vars, not asdict: asdict copies every value, and a verification looks at every row.
        return {name: value for name, value in vars(self).items() if name != "hash"}

    def row(self) -> Row:
        """The row, for readers; one that is not what was written is refused."""
        if not self.fits(self.sequence):
            raise JournalDamaged(f"Row {self.sequence} of the journal is not what was written.")
        fields = asdict(self)
        fields["payload"] = json.loads(self.payload)
        fields["recorded_at"] = datetime.fromisoformat(self.recorded_at)
        return Row(**fields)


def payload_text(payload: Mapping[str, Any]) -> str:
    """One text for equal payloads."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def require_text(name: str, value: Any) -> None:
    """Refuse what no database stores and reads back as the same text, and what says nothing."""
    if not isinstance(value, str) or not value.strip() or _UNSTORABLE.search(value):
        raise EntryRefused(f"The {name} of an entry must be a text that says something, was {value!r}.")


def require_json(value: Any, where: str) -> None:
    """Refuse whatever would not come back from JSON as it went in."""
    if isinstance(value, Mapping):
        for key, each in value.items():  # pyright: ignore[reportUnknownVariableType]
            if not isinstance(key, str):
                raise EntryRefused(f"{where} has the key {key!r}; JSON's keys are texts. Write it as one.")
            require_json(key, f"{where}'s key")
            require_json(each, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for position, each in enumerate(value):  # pyright: ignore[reportUnknownArgumentType]
            require_json(each, f"{where}[{position}]")
    elif (reason := _unstorable(value)) is not None:
        raise EntryRefused(f"{where} is {value!r}: {reason}")


def _unstorable(value: Any) -> str | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else "JSON has no such number. Write null, or a text that says why."
    if isinstance(value, str):
        return "half a character or NUL is no text." if _UNSTORABLE.search(value) else None
    if value is None or isinstance(value, bool | int):
        return None
    return f"{type(value).__name__} is no JSON value. Turn it into one first, e.g. a time into its ISO text."
