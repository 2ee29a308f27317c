"""Target R7: 200 data files with one flipped bit: 200 named, 0 read in silence."""

import random
from contextlib import suppress
from pathlib import Path

import pytest

from quant_pipelines.lake import FileDamaged, Table

FLIPS = 200


def flipped(content: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(content)
    changed[position] ^= 1 << bit
    return bytes(changed)


def test_every_flipped_bit_is_named_and_healed(tmp_path: Path, table_at, rows, days, writer):
    table: Table = table_at(tmp_path)
    table.replace(rows(range(20), 1), window=days(0, 19), writer=writer)
    (path,) = (tmp_path / "demo" / "bars").glob("*/*.parquet")
    whole, ids = table.read(), table.session_ids()
    content = path.read_bytes()
    chance = random.Random(5)  # noqa: S311 - a repeatable sequence, no secret
    named = silent = wrong_ids = 0
    for flip in range(FLIPS):
        # Spread over the whole file, so that pages, page headers, footer and magic bytes all get their share.
        position = min(len(content) - 1, (flip * len(content)) // FLIPS + chance.randrange(len(content) // FLIPS))
        path.write_bytes(flipped(content, position, chance.randrange(8)))
        try:
            table.read()
        except FileDamaged as error:
            named += path.name in str(error) and len(error.sessions) == 20
        else:
            silent += 1
        with suppress(FileDamaged):
            wrong_ids += table.session_ids() != ids
        assert [damage.path for damage in table.verify()] == [f"period=2024-01/{path.name}"]
    assert (named, silent, wrong_ids) == (FLIPS, 0, 0)

    healed = table.replace(rows(range(20), 1), window=days(0, 19), writer=writer)
    assert len(healed.healed) == 20
    assert path.read_bytes() == content
    assert table.read().equals(whole)


def test_flips_are_found_on_the_first_read_of_each_file_only_where_they_are(
    tmp_path: Path, table_at, rows, days, writer
):
    """The control: the untouched month reads while the other is refused."""
    table: Table = table_at(tmp_path)
    table.replace(rows(range(40), 1), window=days(0, 39), writer=writer)
    (january,) = (tmp_path / "demo" / "bars").glob("period=2024-01/*.parquet")
    january.write_bytes(flipped(january.read_bytes(), 300, 0))
    with pytest.raises(FileDamaged, match=january.name):
        table.read(days(0, 30))
    assert table.read(days(31, 39)).equals(rows(range(31, 40), 1))
