"""Upkeep keeps files few and content as it is."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from quant_pipelines.lake import FileDamaged, Lake, Table, Window, Writer
from quant_pipelines.lake.log import CHECKPOINT_EVERY
from quant_pipelines.lake.upkeep import FILES_PER_PERIOD
from quant_pipelines.lake.values import Commit

Days = Callable[..., Window]


def append(table: Table, rows, days: Days, writer: Writer, day: int) -> Commit:
    return table.replace(rows([day]), window=days(day), writer=writer)


def folder(table: Table) -> Path:
    return Path(table._log.store.url)


def test_daily_appends_stay_few_files(table: Table, rows, days: Days, writer: Writer):
    """Ten years of appends must not become thousands of files: a month is merged when crowded and when it is over."""
    merged = {day: append(table, rows, days, writer, day).compacted for day in range(45)}
    assert [day for day, count in merged.items() if count] == [8, 16, 24, 31, 39]
    per_period = [file.period for file in table._log.current().files]
    assert per_period.count("2024-01") == 1
    assert per_period.count("2024-02") <= FILES_PER_PERIOD
    assert table.read().equals(rows(range(45)))


def test_merging_changes_no_id_and_no_old_version(table: Table, rows, days: Days, writer: Writer):
    for day in (3, 1, 2):
        append(table, rows, days, writer, day)
    before = table.session_ids(), table.data_version(days(0, 9)), table.read()
    assert table.compact() == 1
    assert (table.session_ids(), table.data_version(days(0, 9)), table.read()) == before
    assert table.history(1)[0].operation == "compact"
    assert (table.files().count, table.compact()) == (1, 0)
    assert table.read(as_of=1).equals(rows([3]))
    assert table.verify() == []


def test_a_checkpoint_comes_every_so_many_commits(table: Table, rows, days: Days, writer: Writer):
    for level in range(CHECKPOINT_EVERY + 2):
        table.replace(rows([0], level=level + 1.0), window=days(0), writer=writer)
    names = {path.name for path in (folder(table) / "_delta_log").glob("*checkpoint*")}
    assert names == {"_last_checkpoint", f"{CHECKPOINT_EVERY:020d}.checkpoint.parquet"}
    assert table.read()["close"].to_pylist()[2] == 2.0 * (CHECKPOINT_EVERY + 2)
    assert table.read(as_of=7)["close"].to_pylist()[2] == 14.0
    (entry,) = table._log.current().files
    assert (entry.first, entry.last, entry.rows) == (datetime(2024, 1, 1), datetime(2024, 1, 1), 3)
    assert len(table.history()) == CHECKPOINT_EVERY + 3


def test_a_damaged_file_does_not_keep_others_from_being_written(table: Table, rows, days: Days, writer: Writer):
    """Merging is left for later, the append is acknowledged, and the damage is named where it is read."""
    append(table, rows, days, writer, 0)
    (damaged,) = folder(table).glob("*/*.parquet")
    damaged.write_bytes(damaged.read_bytes()[:-50])
    for day in range(1, 12):
        assert append(table, rows, days, writer, day).compacted == 0
    with pytest.raises(FileDamaged, match="session 2024-01-01"):
        table.read(days(0, 11))


def test_a_merge_that_loses_its_race_leaves_everything_as_it_is(
    tmp_path: Path, schema, rows, days: Days, writer: Writer
):
    """The winner's session is there, no session is there twice, and the next merge succeeds."""
    from quant_pipelines.clock import SystemClock

    table = Lake(str(tmp_path), clock=SystemClock()).table("demo", schema)
    for day in range(3):
        append(table, rows, days, writer, day)

    def interfere(point: str) -> None:
        if point == "compact before commit":
            append(table, rows, days, writer, 7)

    assert Lake(str(tmp_path), clock=SystemClock(), trace=interfere).table("demo", schema).compact() == 0
    assert table.read().equals(rows([0, 1, 2, 7]))
    assert table.compact() == 1
    assert table.read().equals(rows([0, 1, 2, 7]))


@pytest.mark.nightly
def test_opening_does_not_slow_down_with_history(table: Table, rows, days: Days, writer: Writer):
    """After a checkpoint only the entries behind it are read: 120 commits open about as fast as 60."""
    times: list[float] = []
    for level in range(120):
        table.replace(rows([0], level=level + 1.0), window=days(0), writer=writer)
        begun = time.perf_counter()
        table.version()
        times.append(time.perf_counter() - begun)
    assert sorted(times[100:120])[10] < 5 * sorted(times[40:60])[10]
