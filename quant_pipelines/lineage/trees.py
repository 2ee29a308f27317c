"""Session lists as trees of content: equal months and years have equal names, and are stored once."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import time
from itertools import groupby

from quant_pipelines.digest import digest_json
from quant_pipelines.lineage.nodes import Contents

_DAY, _MONTH, _YEAR, _ALL = (len(text) for text in ("2024-01-31", "2024-01", "2024", ""))
# What the labels below one list have in common, from the leaves up.
_DAILY = (_MONTH, _YEAR, _ALL)
_INTRADAY = (_DAY, *_DAILY)

_Entries = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Branch:
    """One list: labels, and the content ids or lists below them."""

    id: str
    level: int
    entries: tuple[tuple[str, str], ...]


def tree(contents: Contents) -> list[Branch]:
    """The lists that name these sessions, the one that names them all last."""
    intraday = any(session.time() != time() for session in contents.ids)
    entries = [(session.isoformat(), contents.ids[session]) for session in sorted(contents.ids)]
    branches: list[Branch] = []
    for level, length in enumerate(_INTRADAY if intraday else _DAILY):
        made = list(_branches(contents, level, length, entries))
        branches += (branch for _, branch in made)
        entries = [(label, branch.id) for label, branch in made]
    return branches


def _branches(contents: Contents, level: int, length: int, entries: _Entries) -> Iterator[tuple[str, Branch]]:
    for label, grouped in groupby(entries, key=lambda entry: entry[0][:length]):
        below = tuple(grouped)
        yield label, Branch(digest_json([contents.market, contents.table, level, below]), level, below)
