"""A table tells its own schema, so that what was written under an older one can still be read."""

from datetime import datetime

import pyarrow as pa

from quant_pipelines.lake import Lake, Window
from quant_pipelines.lake.tables import RAW_BARS
from tests.bars import CLOCK, WRITER

DAY = datetime(2024, 5, 6)
ROW = dict.fromkeys(RAW_BARS.names) | {"session": DAY, "symbol": "A", "occurrence": 0, "close": 3.5, "source": "x"}


def test_a_stored_table_reads_and_names_its_content_as_it_was_written(tmp_path):
    lake = Lake(str(tmp_path), clock=CLOCK)
    written = lake.table("m", RAW_BARS)
    written.replace(pa.Table.from_pylist([ROW], schema=RAW_BARS.arrow), window=Window(DAY, DAY), writer=WRITER)
    found = lake.stored("m", "raw_bars")
    assert found is not None
    assert found.session_ids() == written.session_ids()
    assert found.ids_of(found.read()) == written.session_ids()
    assert found.read(columns=RAW_BARS.names).equals(written.read())
    assert found.schema.identity == RAW_BARS.identity


def test_a_table_that_was_never_written_is_none(tmp_path):
    assert Lake(str(tmp_path), clock=CLOCK).stored("m", "raw_bars") is None
