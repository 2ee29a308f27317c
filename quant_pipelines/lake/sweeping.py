"""What writers that died have left behind: half-written files, and whole ones that no version refers to.

The table format's own `vacuum` is not for this. It removes what the newest version does not use, so it would take
the files of every earlier version, and a decision that cites one could not be looked at again. The tables are made
such that it finds nothing old enough to remove (see `log`).
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import unquote

from quant_pipelines.clock import Clock
from quant_pipelines.lake.failures import LogDamaged
from quant_pipelines.lake.storage import LOG_FOLDER, STAGED_PREFIX, Store, StoredFile

# No write lasts a day: what no version refers to then belongs to a process that died.
SAFE_AGE = timedelta(days=1)
_LOG_ENTRY = re.compile(rf"{LOG_FOLDER}/(\d{{20}})\.json")
_DATA_FILE = re.compile(r"period=[^/]+/[0-9a-f]{64}\.parquet")
_HALF_WRITTEN = re.compile(
    rf"[^/]+/{re.escape(STAGED_PREFIX)}[0-9a-f]+"
    # What the table format leaves: an entry before it gets its number, and any file before it gets its name.
    rf"|{LOG_FOLDER}/_commit_[^/]+\.tmp"
    rf"|{LOG_FOLDER}/[^/]+#\d+"
)


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that no version refers to, and why it lies there."""

    path: str
    size_bytes: int
    modified: datetime
    reason: str


def leftovers(name: str, store: Store, *, before: datetime) -> list[Leftover]:
    """Files of dead writers that were last touched before an instant. Files of other kinds are nobody's business."""
    found = store.files()
    referred = _referred(name, store, found)
    if referred is None:
        return []
    return [each for each in _unreferred(found, referred) if each.modified < before]


def sweep(name: str, store: Store, *, clock: Clock, age: timedelta = SAFE_AGE) -> list[Leftover]:
    """Remove the leftovers. Raises WritersAtWork where somebody writes the table now."""
    before = clock.now() - age
    if not leftovers(name, store, before=before):
        return []
    with store.alone():
        # Looked at anew: what lay there a moment ago unknown may be part of a version since.
        removed = leftovers(name, store, before=before)
        for each in removed:
            store.remove(each.path)
    return removed


def _unreferred(found: Sequence[StoredFile], referred: set[str]) -> Iterator[Leftover]:
    for file in found:
        if _HALF_WRITTEN.fullmatch(file.path):
            yield Leftover(file.path, file.size_bytes, file.modified, "half written")
        elif _DATA_FILE.fullmatch(file.path) and file.path not in referred:
            yield Leftover(file.path, file.size_bytes, file.modified, "never committed")


def _referred(name: str, store: Store, found: Sequence[StoredFile]) -> set[str] | None:
    """Every data file that any version ever had; None where the table has no version yet."""
    versions = sorted(int(match[1]) for file in found if (match := _LOG_ENTRY.fullmatch(file.path)))
    if not versions:
        return None
    if versions != list(range(len(versions))):
        missing = sorted(set(range(versions[-1])) - set(versions))
        raise LogDamaged(name, f"the entries of versions {missing} are gone, so nobody knows which files they had")
    return {path for version in versions for path in _paths(name, store, version)}


def _paths(name: str, store: Store, version: int) -> Iterator[str]:
    """The files that a version put in or took out."""
    content = store.read(f"{LOG_FOLDER}/{version:020d}.json").to_pybytes()
    for line in content.splitlines():
        try:
            action = json.loads(line)
        except ValueError as error:
            raise LogDamaged(name, f"the entry of version {version} is no JSON: {error}") from error
        for kind in ("add", "remove"):
            if kind in action:
                yield unquote(action[kind]["path"])
