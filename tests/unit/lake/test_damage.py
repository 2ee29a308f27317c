"""Damaged files: named, never served, healed by writing the sessions again, and earlier versions still read."""

import os
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from quant_pipelines.errors import StoreDamaged
from quant_pipelines.lake import FileDamaged, LogDamaged, SessionStoredTwice, Table, Window, Writer

Days = Callable[..., Window]
FIRST = datetime(2024, 1, 1)


def data_files(table: Table) -> dict[str, Path]:
    """The newest version's files by period."""
    return {file.period: Path(table._log.store.url) / file.path for file in table._log.current().files}


def spoil(path: Path, damage: str) -> None:
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
        return
    if damage == "a flipped bit in a page":
        content[len(content) // 3] ^= 4
    if damage == "a flipped bit in the footer":
        content[-40] ^= 4
    if damage == "a changed id":
        content[content.index(b'"2024-01-01T00:00:00"') + 24] ^= 1
    if damage == "cut short":
        content = content[: len(content) // 2]
    if damage == "empty":
        content = bytearray()
    if damage == "another file":
        content = bytearray(b"PAR1 something else PAR1")
    path.write_bytes(content)


DAMAGES = [
    "missing",
    "a flipped bit in a page",
    "a flipped bit in the footer",
    "a changed id",
    "cut short",
    "empty",
    "another file",
]


@pytest.fixture
def filled(table: Table, rows, days: Days, writer: Writer) -> Table:
    """Version 1 holds January and February, version 2 restates one day of January."""
    table.replace(rows(range(40)), window=days(0, 39), writer=writer)
    table.replace(rows([4], level=3.0), window=days(4), writer=writer)
    return table


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_contained_and_healed(filled: Table, rows, days: Days, writer: Writer, damage: str):
    """S2-106: a damaged file is a typed error that names file, sessions and remedy."""
    whole = filled.read()
    path = data_files(filled)["2024-01"]
    spoil(path, damage)

    with pytest.raises(
        FileDamaged, match=rf"{path.name}.*31 sessions from 2024-01-01 to 2024-01-31.*write all of these"
    ) as named:
        filled.read()
    assert isinstance(named.value, StoreDamaged)
    assert [found.path for found in filled.verify()] == [f"period=2024-01/{path.name}"]
    assert filled.read(days(31, 39)).num_rows == 27, "files without damage still read"
    assert filled.read(as_of=1).equals(rows(range(40))), "a version without the file still reads"

    january = pa.concat_tables([rows([0, 1, 2, 3]), rows([4], level=3.0), rows(range(5, 31))])
    healed = filled.replace(january, window=days(0, 30), writer=writer)
    assert len(healed.healed) == 31
    assert healed.changed == ()
    assert filled.read().equals(whole)
    assert filled.verify() == []


def test_damage_behind_an_earlier_look_is_found(filled: Table):
    """A process that has verified a file sees that it was changed since."""
    path = data_files(filled)["2024-01"]
    assert filled.read().num_rows == 120
    os.utime(path, (1, 1))
    assert filled.read().num_rows == 120
    spoil(path, "a flipped bit in a page")
    with pytest.raises(FileDamaged):
        filled.read()


def test_other_content_heals_too(filled: Table, rows, days: Days, writer: Writer):
    spoil(data_files(filled)["2024-01"], "a flipped bit in a page")
    commit = filled.replace(rows(range(31), level=8.0), window=days(0, 30), writer=writer)
    assert (len(commit.changed), len(commit.healed)) == (31, 31)
    assert filled.read(days(0, 30)).equals(rows(range(31), level=8.0))


def test_writing_a_part_of_a_damaged_file_says_what_would_be_lost(filled: Table, rows, days: Days, writer: Writer):
    spoil(data_files(filled)["2024-01"], "a flipped bit in a page")
    with pytest.raises(FileDamaged, match="31 sessions from 2024-01-01"):
        filled.replace(rows([4]), window=days(4), writer=writer)
    february = filled.replace(rows([33], level=2.0), window=days(33), writer=writer)
    assert len(february.changed) == 1, "the other month is not held up"


def test_quarantine_takes_the_file_out_and_says_so(filled: Table, rows, days: Days, writer: Writer):
    """Target R7: damaged files are named and quarantined; afterwards single sessions can be written again."""
    assert filled.quarantine_damaged(writer=writer) == []
    spoil(data_files(filled)["2024-01"], "empty")
    (taken,) = filled.quarantine_damaged(writer=writer)
    assert len(taken.sessions) == 31
    assert (filled.history(1)[0].operation, filled.history(1)[0].sessions) == ("quarantine", 31)
    assert filled.read().num_rows == 27
    filled.replace(rows([4]), window=days(4), writer=writer)
    assert list(filled.session_ids(days(0, 30))) == [FIRST + timedelta(days=4)]
    assert filled.verify() == []


def test_two_damaged_files_share_what_no_whole_file_holds(table: Table, rows, days: Days, writer: Writer):
    for day in range(3):
        table.replace(rows([day]), window=days(day), writer=writer)
    paths = sorted(Path(table._log.store.url).glob("*/*.parquet"))
    for path in paths[:2]:
        spoil(path, "empty")
    damaged = {session for found in table.verify() for session in found.sessions}
    whole = set(table.session_ids(as_of=0)) | (set(table.ids_of(rows(range(3)))) - damaged)
    assert (len(damaged), len(whole)) == (2, 1)


def test_a_session_in_two_files_is_refused(filled: Table, schema, rows, days: Days, writer: Writer):
    """Somebody else wrote to the table with another program: nothing is added up silently."""
    from quant_pipelines.lake.log import Change
    from quant_pipelines.lake.writing import pieces_of, staged_file

    log = filled._log
    extra = rows([4], level=7.0)
    entry = staged_file(log, schema, "2024-01", pieces_of(extra, filled.ids_of(extra)))
    log.commit(log.current(), Change(operation="other", writer=writer, added=[entry], removed=[]))
    with pytest.raises(SessionStoredTwice, match="2024-01-05"):
        filled.read()
    assert filled.read(as_of=2).num_rows == 120


def test_a_broken_log_is_named_and_its_remedy_works(filled: Table, tmp_path: Path):
    log = Path(filled._log.store.url) / "_delta_log"
    entry = log / f"{2:020d}.json"
    shutil.copy(entry, tmp_path / "backup")
    entry.write_bytes(entry.read_bytes()[:100])
    with pytest.raises(LogDamaged, match=r"demo/bars.*backup"):
        filled.read()
    shutil.copy(tmp_path / "backup", entry)
    assert filled.read().num_rows == 120


def test_a_broken_checkpoint_is_named_and_its_remedy_works(filled: Table, rows, days: Days, writer: Writer):
    for level in range(50):
        filled.replace(rows([0], level=level + 2.0), window=days(0), writer=writer)
    log = Path(filled._log.store.url) / "_delta_log"
    (checkpoint,) = log.glob("*.checkpoint.parquet")
    checkpoint.write_bytes(b"")
    with pytest.raises(LogDamaged, match="_last_checkpoint"):
        filled.read()
    checkpoint.unlink()
    (log / "_last_checkpoint").unlink()
    assert filled.read().num_rows == 120
