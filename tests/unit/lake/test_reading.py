"""How rows may be read: texts as the codes that they are stored as, and at a glance."""

from pathlib import Path

import pyarrow as pa
import pytest

from quant_pipelines.lake import FileDamaged, Lake, Table
from quant_pipelines.lake import files as lake_files

TEXTS = ["symbol", "note", "source"]


@pytest.fixture
def filled(table: Table, rows, days, writer) -> Table:
    """Two months, of which one was written twice."""
    table.replace(rows(range(40)), window=days(0, 39), writer=writer)
    table.replace(rows(range(20, 25), level=2.0, symbols=5), window=days(20, 24), writer=writer)
    return table


@pytest.mark.parametrize("symbols", [None, {"S1", "S4"}])
@pytest.mark.parametrize("window", [(0, 39), (22, 33), (60, 70)])
def test_coded_texts_are_the_same_texts(filled, days, symbols, window):
    plain = filled.read(days(*window), symbols=symbols)
    coded = filled.read(days(*window), symbols=symbols, coded=TEXTS)
    assert {coded.schema.field(name).type for name in TEXTS} == {pa.dictionary(pa.int32(), pa.string())}
    assert coded.cast(plain.schema).equals(plain)


def test_a_table_without_rows_has_coded_columns_too(table):
    assert table.read(columns=["symbol"], coded=["symbol"]).schema.field("symbol").type == pa.dictionary(
        pa.int32(), pa.string()
    )


def places_of(path: Path, column: str) -> range:
    """Where the pages of a column lie in a file."""
    import pyarrow.parquet as pq

    chunk = pq.read_metadata(path).row_group(0)
    found = next(chunk.column(at) for at in range(chunk.num_columns) if chunk.column(at).path_in_schema == column)
    begins = found.dictionary_page_offset or found.data_page_offset
    return range(begins, begins + found.total_compressed_size)


def test_a_glance_trusts_the_pages_that_it_reads_and_whoever_reads_the_rows_compares_every_byte(filled, tmp_path):
    """S2-106."""
    path = next(Path(filled._log.store.url) / file.path for file in filled._log.current().files)
    place = places_of(path, "close")[-3]
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(bytes(content))
    lake_files._verified.clear()
    other = Lake(str(tmp_path / "lake"), clock=filled._log.clock).table("demo", filled.schema).at()
    assert other.read(columns=["symbol"], glance=True).num_rows == 130
    for columns, glance in ((["symbol"], False), (["close"], True)):
        with pytest.raises(FileDamaged):
            other.read(columns=columns, glance=glance)
