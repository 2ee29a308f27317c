"""Target R5: no room left is a named error, the old version is served, and the next run heals."""

import os
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Lake, StorageFull, Table, Window, Writer
from quant_pipelines.lake.schemas import TableSchema

DISK_BYTES = 4 * 1024 * 1024
PAGE = 4096


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)]
    try:
        mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a small disk can only be mounted by root; the test with a file limit covers the same error")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def noisy(days: range, generation: int) -> pa.Table:
    """Rows that do not compress, so that a file has many pages of disk."""
    count = 22_500
    labels = [datetime(2024, 1, 1) + timedelta(days=day) for day in days]
    noise = np.random.default_rng(generation).integers(-(2**62), 2**62, size=count * len(labels))
    return pa.table(
        {
            "session": pa.array(np.repeat(np.array(labels, "datetime64[us]"), count)),
            "symbol": pa.array([f"S{symbol:05d}" for symbol in range(count)] * len(labels)),
            "generation": noise,
        }
    )


def fill(disk: Path, left_pages: int) -> None:
    """Take all room but so many pages."""
    filler = disk / "filler"
    found = os.statvfs(disk)
    taken = found.f_bavail * found.f_frsize - left_pages * PAGE
    with filler.open("wb") as file:
        if taken > 0:
            os.posix_fallocate(file.fileno(), 0, taken)


def test_a_full_disk_is_named_serves_the_old_version_and_heals(
    small_disk: Path, schema: TableSchema, days, writer: Writer
):
    table = Lake(str(small_disk / "lake"), clock=SystemClock()).table("demo", schema)
    table.replace(noisy(range(1), 0), window=days(0, 0), writer=writer)
    pages = -(-table.files().size_bytes // PAGE)
    endings: list[str] = []
    # Room for nothing, for a part of the file, for the file but not for its entry in the log, and for all.
    for attempt, left in enumerate([0, 1, pages // 2, *range(pages - 4, pages + 5), 2 * pages]):
        old, version = table.read(), table.version()
        fill(small_disk, left)
        new = noisy(range(1), attempt + 1)
        endings.append(ending_of_replace(table, new, days(0, 0), writer))
        found = table.read()
        assert found.equals(new.cast(schema.arrow) if endings[-1] == "written" else old)
        assert (table.version() == version) == (endings[-1] != "written")
        (small_disk / "filler").unlink()
        assert table.verify() == []
        table.replace(new, window=days(0, 0), writer=writer)
        assert table.read().equals(new.cast(schema.arrow))
        forget_old_versions(small_disk, table)
    assert set(endings) == {"no room for the file", "no room for the commit", "written"}, endings


def ending_of_replace(table: Table, rows: pa.Table, window: Window, writer: Writer) -> str:
    try:
        table.replace(rows, window=window, writer=writer)
    except StorageFull as error:
        return "no room for the commit" if "commit to" in str(error) else "no room for the file"
    return "written"


def forget_old_versions(disk: Path, table: Table) -> None:
    """Room for the next attempt; the newest version does not need them."""
    needed = {Path(table._log.store.url) / file.path for file in table._log.current().files}
    for path in disk.glob("lake/demo/bars/period=*/*"):
        if path not in needed:
            path.unlink()


def test_a_file_that_may_not_grow_is_named_serves_the_old_version_and_heals(tmp_path: Path, writing, table_at):
    """The same without a disk of one's own: the process may only write short files."""
    task = {"first": 0, "last": 9}
    assert writing.run(tmp_path, generation=1, **task).acknowledged == [1]
    for limit in (0, 100, 1000, 2000):
        ending = writing.run(tmp_path, generation=2, file_limit=limit, **task)
        assert ending.acknowledged == []
        assert ending.error.startswith("StorageFull")
        assert set(table_at(tmp_path).read()["generation"].to_pylist()) == {1}
        assert table_at(tmp_path).verify() == []
    assert writing.run(tmp_path, generation=2, **task).acknowledged == [2]
    assert set(table_at(tmp_path).read()["generation"].to_pylist()) == {2}
