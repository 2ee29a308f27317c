"""Damage at random: a file is refused, or read exactly as a slow reader reads it; nothing else ever happens (R8)."""

import csv
import gzip
import io
import random
import re
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quant_pipelines.calendars import calendar_named
from quant_pipelines.errors import DataRejected
from quant_pipelines.markets.market import FilesSource
from quant_pipelines.sources.files import FileBars
from quant_pipelines.sources.files.aliases import NULLS
from quant_pipelines.sources.protocol import BarRequest

ALWAYS = BarRequest(first=datetime(1700, 1, 1), last=datetime(2300, 1, 1))
HEADER = b"date,open,high,low,close,note\n"
BODY = b"".join(
    b"2020-01-%02d,%d.25,%d.5,9,10.5,%s\n" % (day, day, day + 20, b'"a,b"' if day % 3 == 0 else b"plain")
    for day in range(1, 13)
)
NOISE = b'",;\n\r\t 0123456789-+/.:#eEx\x00\xff\xe9NaN'
Row = tuple[datetime, float | None, float | None, float | None, float | None]


def chance_of(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  damage, not secrets


def damaged(data: bytes, chance: random.Random) -> bytes:
    """One to three random wounds: a byte changed, a bit flipped, bytes lost, added or repeated, the end cut off."""
    wounded = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3))):
        at = chance.randrange(len(wounded)) if wounded else 0
        kind = chance.randrange(6)
        if kind == 0:
            wounded[at : at + 1] = bytes([chance.choice(NOISE)])
        elif kind == 1:
            wounded[at : at + 1] = bytes([byte ^ (1 << chance.randrange(8)) for byte in wounded[at : at + 1]])
        elif kind == 2:
            del wounded[at : at + chance.randrange(1, 8)]
        elif kind == 3:
            wounded[at:at] = bytes(chance.choices(NOISE, k=chance.randrange(1, 4)))
        elif kind == 4:
            wounded[at:at] = wounded[at : at + chance.randrange(1, 60)]
        else:
            del wounded[at:]
    return bytes(wounded)


def read_slowly(body: bytes) -> list[Row]:
    """What the rows say, by Python's own reader, cell by cell; fails on anything unclear."""
    lines = body.decode().replace("\r\n", "\n").split("\n")
    while lines and (not lines[-1].strip() or (lines[-1].lstrip().startswith("#") and lines[-1].count(",") < 5)):
        lines.pop()
    rows: list[Row] = []
    for line in filter(None, lines):
        (cells,) = csv.reader([line], strict=True)
        assert len(cells) == 6
        found = re.fullmatch(r"\s*(\d{4})-(\d{1,2})-(\d{1,2})\s*", cells[0])
        assert found is not None
        year, month, day = map(int, found.groups())
        rows.append((datetime(year, month, day), *map(number, cells[1:5])))
    return sorted(rows, key=lambda row: row[0])


def number(cell: str) -> float | None:
    cell = cell.strip()
    if cell in NULLS or cell.lower().lstrip("+-") == "nan":
        return None
    assert re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", cell)
    return float(cell)


def read(folder: Path, name: str, data: bytes) -> list[Row] | None:
    """The rows, or None where the file is refused. Any other failure is a failure of the test."""
    (folder / name).write_bytes(data)
    source = FileBars(FilesSource(kind="files", path=folder / name), calendar_named("XNYS"))
    try:
        table = source.bars(ALWAYS)
    except DataRejected:
        return None
    return list(zip(*(table[each].to_pylist() for each in ("session", "open", "high", "low", "close")), strict=True))


def compare_with_slow_reader(folder: Path, seeds: range) -> tuple[int, int]:
    refused = agreed = 0
    for seed in seeds:
        body = damaged(BODY, chance_of(seed))
        rows = read(folder, "A.csv", HEADER + body)
        if rows is None:
            refused += 1
        else:
            assert rows == read_slowly(body), (seed, body)
            agreed += 1
    return refused, agreed


def containers() -> dict[str, bytes]:
    packed, stored = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", HEADER + BODY)
    days = pa.array([datetime(2020, 1, day) for day in range(1, 13)], pa.timestamp("us", "UTC"))
    columns: dict[str, Any] = {name: [float(day) for day in range(12)] for name in ("open", "high", "low", "close")}
    pq.write_table(pa.table({"date": days, "symbol": list("ABCDEFGHIJKL"), **columns}), stored)
    return {"A.csv.gz": gzip.compress(HEADER + BODY), "A.zip": packed.getvalue(), "A.parquet": stored.getvalue()}


def damage_containers(folder: Path, seeds: range) -> dict[str, int]:
    refused = dict.fromkeys(containers(), 0)
    for name, data in containers().items():
        for seed in seeds:
            refused[name] += read(folder, name, damaged(data, chance_of(seed))) is None
    return refused


def test_a_damaged_text_is_refused_or_read_as_it_stands(tmp_path: Path):
    """R8: 0 bad rows in."""
    refused, agreed = compare_with_slow_reader(tmp_path, range(600))
    assert min(refused, agreed) > 60, "both outcomes must have been seen"
    assert read(tmp_path, "A.csv", HEADER + BODY) == read_slowly(BODY), "the control"


def test_a_damaged_container_is_refused_or_read_and_never_breaks_the_reader(tmp_path: Path):
    """R8; the control is the container as it was."""
    refused = damage_containers(tmp_path, range(100))
    assert min(refused.values()) > 50
    assert all(read(tmp_path, name, data) for name, data in containers().items())


@pytest.mark.nightly
def test_damage_at_depth(tmp_path: Path):
    """R8."""
    compare_with_slow_reader(tmp_path, range(1_000, 40_000))
    damage_containers(tmp_path, range(1_000, 6_000))
