"""Only what no version refers to is swept, whatever was written, abandoned, merged or restated before."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quant_pipelines.clock import SystemClock
from quant_pipelines.errors import Conflict
from quant_pipelines.lake import Lake, LogDamaged, Table, Writer, WritersAtWork, no_fence
from quant_pipelines.lake.storage import STAGED_PREFIX

NOW = timedelta(0)
NAME = "demo/bars"


class EndedError(Conflict):
    """The writer was told to stop right before its commit."""


def refused() -> AbstractContextManager[None]:
    raise EndedError("too late")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """With the real time: the age of a file is what the sweep goes by."""
    return Lake(str(tmp_path / "lake"), clock=SystemClock())


def folder(table: Table) -> Path:
    return Path(table._log.store.url)


def abandoned(table: Table, rows, window, writer: Writer) -> None:
    """As by a writer that died between its files and its commit."""
    with pytest.raises(EndedError):
        table.replace(rows, window=window, writer=writer, fence=refused)


def half_written(table: Table) -> list[Path]:
    """What a writer leaves that is killed in the middle of a file: ours, and the table format's two."""
    log = folder(table) / "_delta_log"
    made = [
        folder(table) / "period=2024-01" / f"{STAGED_PREFIX}0123abcd",
        log / f"{7:020d}.json#1",
        log / "_commit_5a6b.json.tmp",
    ]
    for each in made:
        each.write_bytes(b"half a file")
    return made


def aged(path: Path, *, hours: float) -> None:
    then = path.stat().st_mtime - 3600 * hours
    os.utime(path, (then, then))


def test_what_a_dead_writer_left_is_listed_then_removed_and_every_version_reads_on(
    *, lake: Lake, table: Table, rows, days, writer: Writer
):
    table.replace(rows([0]), window=days(0), writer=writer)
    abandoned(table, rows([0], level=3.0), days(0), writer)
    halves = half_written(table)
    listed = lake.leftovers(NAME, age=NOW)
    assert sorted(each.reason for each in listed) == [*["half written"] * 3, "never committed"]
    assert all((folder(table) / each.path).exists() for each in listed), "to list removes nothing"
    assert lake.sweep(NAME, age=NOW) == listed
    assert not any(each.exists() for each in halves)
    assert lake.leftovers(NAME, age=NOW) == []
    assert table.read().equals(rows([0]))
    assert table.verify() == []


def test_what_was_touched_of_late_is_left_alone(lake: Lake, table: Table, rows, days, writer: Writer):
    """The default age is a day: no write lasts as long."""
    table.replace(rows([0]), window=days(0), writer=writer)
    old, young, _ = half_written(table)
    aged(old, hours=25)
    aged(young, hours=23)
    assert [each.path for each in lake.sweep(NAME)] == [str(old.relative_to(folder(table)))]
    assert young.exists()


def test_files_that_are_not_the_lakes_own_are_left_alone(lake: Lake, table: Table, rows, days, writer: Writer):
    table.replace(rows([0]), window=days(0), writer=writer)
    others = [
        folder(table) / "period=2024-01" / "notes.txt",
        folder(table) / "README",
        folder(table) / "period=2024-01" / "part-0.parquet",
    ]
    for each in others:
        each.write_text("mine")
    assert lake.sweep(NAME, age=NOW) == []
    assert all(each.exists() for each in others)


def test_nothing_is_swept_while_a_writer_is_at_work(lake: Lake, table: Table, rows, days, writer: Writer):
    """Its files look like leftovers until it commits, and a file it writes again may have been one before."""
    table.replace(rows([0]), window=days(0), writer=writer)
    abandoned(table, rows([0], level=3.0), days(0), writer)
    met: list[str] = []

    def in_the_middle() -> AbstractContextManager[None]:
        with pytest.raises(WritersAtWork, match="Sweep again"):
            lake.sweep(NAME, age=NOW)
        met.append("asked")
        return no_fence()

    table.replace(rows([0], level=3.0), window=days(0), writer=writer, fence=in_the_middle)
    assert met == ["asked"]
    assert lake.sweep(NAME, age=NOW) == []
    assert table.read().equals(rows([0], level=3.0))


def test_a_log_with_a_gap_is_never_swept_by(lake: Lake, table: Table, rows, days, writer: Writer):
    """Nobody knows which files the missing versions had."""
    for level in (1.0, 2.0, 3.0):
        table.replace(rows([0], level=level), window=days(0), writer=writer)
    before = sorted(folder(table).glob("period=*/*"))
    (folder(table) / "_delta_log" / f"{1:020d}.json").unlink()
    with pytest.raises(LogDamaged, match=r"versions \[1\] are gone"):
        lake.sweep(NAME, age=NOW)
    for entry in (folder(table) / "_delta_log").glob("*.json"):
        entry.unlink()
    assert lake.sweep(NAME, age=NOW) == []
    assert sorted(folder(table).glob("period=*/*")) == before


def test_vacuum_would_take_what_earlier_versions_read(table: Table, rows, days, writer: Writer):
    """Why the table format's own sweep is not used, and that it finds nothing on the terms the tables are made with."""
    for level in (1.0, 2.0):
        table.replace(rows([0], level=level), window=days(0), writer=writer)
    handle = DeltaTable(str(folder(table)))
    earlier = {file.path for file in table._log.snapshot(1).files}
    taken = handle.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=True, full=True)
    assert earlier <= set(taken)
    assert handle.vacuum(dry_run=True, full=True) == []


actions = st.tuples(
    st.sampled_from(["replace", "abandon", "compact", "empty", "sweep"]),
    st.integers(0, 40),
    st.integers(0, 3),
    st.integers(1, 4),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(actions, min_size=1, max_size=12))
def test_whatever_was_done_a_sweep_takes_nothing_that_any_version_reads(
    *, tmp_path_factory: pytest.TempPathFactory, schema, rows, days, writer: Writer, steps
):
    lake = Lake(str(tmp_path_factory.mktemp("lake")), clock=SystemClock())
    table = lake.table("demo", schema)
    for kind, first, length, level in steps:
        window = days(first, first + length)
        made = rows(range(first, first + length + 1), level=float(level))
        if kind == "replace":
            table.replace(made, window=window, writer=writer)
        elif kind == "abandon":
            attempt(table, made, window, writer)
        elif kind == "empty":
            table.replace(rows([]), window=window, writer=writer)
        elif kind == "compact":
            table.compact()
        else:
            lake.sweep(NAME, age=NOW)
    versions = range((table.version() or 0) + 1) if table.version() is not None else range(0)
    before = [table.read(as_of=version) for version in versions]
    lake.sweep(NAME, age=NOW)
    assert [table.read(as_of=version) for version in versions] == before
    assert lake.leftovers(NAME, age=NOW) == []
    assert table.verify() == []


def attempt(table: Table, made, window, writer: Writer) -> None:
    """Refused where there is something to commit."""
    try:
        table.replace(made, window=window, writer=writer, fence=refused)
    except EndedError:
        return


def swept_by_chance(lake: Lake) -> int:
    try:
        return len(lake.sweep(NAME, age=NOW))
    except WritersAtWork:
        return 0


def test_sweeps_in_the_midst_of_a_busy_writer_lose_nothing(lake: Lake, table: Table, rows, days, writer: Writer):
    """It puts back, again and again, just what was left over a moment ago, and must then find it."""

    def write() -> None:
        for number in range(40):
            made = rows([0], level=1.0 + number % 3)
            attempt(table, made, days(0), writer)
            time.sleep(0.005)  # for a sweep to come by
            table.replace(made, window=days(0), writer=writer)
            assert table.read().equals(made)

    swept = 0
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not writing.done():
            swept += swept_by_chance(lake)
        writing.result()
    assert swept > 0, "a sweep that never removed anything proves nothing"
    assert table.verify() == []
    assert [table.read(as_of=version).num_rows for version in range(1, 41)] == [3] * 40
