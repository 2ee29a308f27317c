"""Killed at any step, a writer leaves only what a sweep finds and removes, and no version misses it."""

import random
from datetime import timedelta
from pathlib import Path

import pytest

from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Lake, Table

NAME = "demo/bars"
AT_ONCE = timedelta(0)


def files_of(table: Table) -> set[Path]:
    """All but the log's own entries and the lock of the writers."""
    root = Path(table._log.store.url)
    return {path for path in root.rglob("*") if path.is_file() and not known_to_the_log(path)}


def known_to_the_log(path: Path) -> bool:
    named = path.name.removesuffix(".json").isdigit() or path.name.endswith(".checkpoint.parquet")
    return named or path.name in {"_last_checkpoint", "_writers.lock"}


def referred_to(table: Table) -> set[Path]:
    """By any version, as the table format's own reader tells it."""
    root = Path(table._log.store.url)
    newest = table.version()
    versions = [] if newest is None else range(newest + 1)
    snapshots = [table._log.snapshot(version) for version in versions]
    return {root / file.path for snapshot in snapshots if snapshot is not None for file in snapshot.files}


def sweep_after_kills(root: Path, writing, table: Table, *, kills: int, seed: int) -> int:
    """Kill at a random step, sweep, look at every version; how many files were swept."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable sequence, no secret
    lake = Lake(str(root), clock=SystemClock())
    swept = 0
    for generation in range(kills):
        first = chance.randrange(40)
        last = min(first + chance.randrange(12), 59)
        ending = writing.run(root, generation=generation, first=first, last=last, kill_at=chance.randrange(14))
        before = contents(table)
        listed = lake.leftovers(NAME, age=AT_ONCE) if table.version() is not None else []
        assert lake.sweep(NAME, age=AT_ONCE) == listed
        swept += len(listed)
        assert contents(table) == before
        if table.version() is not None:
            assert files_of(table) == referred_to(table), "everything left over is gone, and nothing else"
        assert ending.killed or ending.acknowledged
    assert table.verify() == []
    return swept


def contents(table: Table) -> list[object]:
    """What each version reads as, by its content ids; every read looks at every byte."""
    newest = table.version()
    return [] if newest is None else [table.session_ids(as_of=version) for version in range(newest + 1)]


def require_readable(table: Table) -> None:
    for version in range((table.version() or 0) + 1):
        ids = table.session_ids(as_of=version)
        rows = table.read(as_of=version)
        assert table.ids_of(rows) == ids


def test_what_killed_writers_leave_is_swept_and_every_version_reads_on(tmp_path: Path, writing, table_at):
    swept = sweep_after_kills(tmp_path, writing, table_at(tmp_path), kills=25, seed=17)
    assert swept >= 10, "kills that leave nothing prove nothing"
    require_readable(table_at(tmp_path))


# Many tables and not one long history: after each kill every version is looked at.
@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(8))
def test_what_many_killed_writers_leave_is_swept_and_every_version_reads_on(
    *, tmp_path: Path, writing, table_at, seed: int
):
    swept = sweep_after_kills(tmp_path, writing, table_at(tmp_path), kills=25, seed=seed)
    assert swept >= 5
    require_readable(table_at(tmp_path))
