"""What differs between two snapshots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quant_pipelines.calendars import Session, session_key
from quant_pipelines.snapshots.document import Document, FrozenTable
from quant_pipelines.snapshots.inputs import listed
from quant_pipelines.snapshots.store import SnapshotStore

_SHOWN = 3
_FIELDS = (
    "purpose", "market", "strategy", "cutoff", "window_first", "reads_from", "sequence_sessions", "row_filter",
    "validation_share", "normalisation", "code_version", "trained_on",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs, in words."""

    what: str
    old: str
    new: str


def compare(old: Document, new: Document, store: SnapshotStore) -> list[Difference]:
    """Every difference of two snapshots, the causes before what came of them."""
    before, after = old.recipe.model_dump(mode="json"), new.recipe.model_dump(mode="json")
    found = [Difference(name, str(before[name]), str(after[name])) for name in _FIELDS]
    configured = before["configuration"], after["configuration"]
    found += [
        Difference(f"configuration.{name}", *(str(each.get(name)) for each in configured))
        for name in sorted(configured[0].keys() | configured[1].keys())
    ]
    found += _features(old, new)
    found += _tables(old, new, store)
    found += _outcomes(old, new)
    return [each for each in found if each.old != each.new]


def _features(old: Document, new: Document) -> list[Difference]:
    before, after = ({each.name: each.version for each in which.recipe.features} for which in (old, new))
    return [
        Difference(f"feature {name}", before.get(name, "absent"), after.get(name, "absent"))
        for name in sorted(before.keys() | after.keys())
    ]


def _tables(old: Document, new: Document, store: SnapshotStore) -> list[Difference]:
    before, after = ({each.table: each for each in which.recipe.all_tables} for which in (old, new))
    return [
        each
        for name in sorted(before.keys() | after.keys())
        for each in _sessions(name, *(_ids(name, tables, store) for tables in (before, after)))
    ]


def _ids(name: str, tables: Mapping[str, FrozenTable], store: SnapshotStore) -> dict[Session, str]:
    return listed(store.text(tables[name].listing)) if name in tables else {}


def _sessions(name: str, old: Mapping[Session, str], new: Mapping[Session, str]) -> list[Difference]:
    """How many sessions each has that the other has not, and the first few whose content differs."""
    changed = [each for each in sorted(old.keys() & new.keys()) if old[each] != new[each]]
    only = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    found: list[Difference] = []
    if any(only):
        found.append(Difference(f"{name}: sessions that only one used", *(_span(each) for each in only)))
    if changed:
        found.append(Difference(f"{name}: sessions with other content", "", str(len(changed))))
    return found + [
        Difference(f"{name} in {session_key(each)}", old[each][:16], new[each][:16]) for each in changed[:_SHOWN]
    ]


def _span(sessions: Sequence[Session]) -> str:
    return f"{len(sessions)}: {session_key(sessions[0])} to {session_key(sessions[-1])}" if sessions else "none"


def _outcomes(old: Document, new: Document) -> list[Difference]:
    pairs: list[tuple[str, Any, Any]] = [
        ("rows", old.outcome.rows, new.outcome.rows),
        ("symbols", old.outcome.symbols, new.outcome.symbols),
        ("samples", old.outcome.samples, new.outcome.samples),
        ("split", old.outcome.split, new.outcome.split),
        ("normaliser", old.outcome.normaliser, new.outcome.normaliser),
    ]
    arrays = sorted({each.name for which in (old, new) for each in which.outcome.arrays})
    pairs += [(f"array {name}", _blob(old, name), _blob(new, name)) for name in arrays]
    return [Difference(what, str(before), str(after)) for what, before, after in pairs]


def _blob(document: Document, name: str) -> str:
    found = document.outcome.array(name)
    return "absent" if found is None else found.blob[:16]
