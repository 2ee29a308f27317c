"""What may be wrong with a journal, and how a person is told."""

from dataclasses import dataclass
from enum import StrEnum


class Tampering(StrEnum):
    """One way in which a journal is not what was written."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    SWAPPED = "swapped"
    TRUNCATED = "truncated"
    REWRITTEN = "rewritten"
    UNANCHORED = "unanchored"


_SENTENCES = {
    Tampering.CHANGED: "{rows} not what was written: the content does not have the hash that the chain has",
    Tampering.REMOVED: "{rows} gone from between the others",
    Tampering.INSERTED: "{rows} put in between others",
    Tampering.SWAPPED: "rows {first} and {last} have changed places",
    Tampering.TRUNCATED: "{rows} gone from the end, though the anchor has seen them",
    Tampering.REWRITTEN: "{rows} not the one that was anchored: the chain was written anew, here or before it",
    Tampering.UNANCHORED: "the anchor is missing or unreadable, so rows cut off after row {first} would not be noticed",
}


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Rows first to last, both included, and what happened to them; of swapped rows, the two."""

    first: int
    last: int
    what: Tampering

    def __str__(self) -> str:
        rows = f"row {self.first} is" if self.first == self.last else f"rows {self.first} to {self.last} are"
        sentence = _SENTENCES[self.what].format(rows=rows, first=self.first, last=self.last)
        return f"{self.what}: {sentence}"
