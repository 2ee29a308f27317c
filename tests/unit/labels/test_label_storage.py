"""Label rows fit the lake as they are."""

import pyarrow as pa

from quant_pipelines.labels import KEY, LABEL_SETS, ROWS, label_rows
from quant_pipelines.lake import Lake, Window, no_fence
from quant_pipelines.lake.schemas import Column, TableSchema
from tests.bars import CLOCK, WRITER

LABELS = TableSchema(
    "labels", "As declared.", key=KEY, columns=tuple(Column(f.name, f.type, "", nullable=f.nullable) for f in ROWS)
)


def test_labels_are_stored_and_read_back_whole(tmp_path, prices_of, venue_of, sessions):
    closes = {"600001.SH": [10.0, 10.2, "S", 10.0, 10.4, 10.1, 9.8, 9.7], "300003.SZ": [5.0] * 8}
    rows = label_rows(prices_of(closes), list(LABEL_SETS.values()), venue_of(), through=sessions[7])
    table = Lake(str(tmp_path), clock=CLOCK).table("cn", LABELS)
    table.replace(rows, window=Window(sessions[0], sessions[7]), writer=WRITER, fence=no_fence)
    stored = table.read(Window(sessions[0], sessions[7]))
    in_order = [(name, "ascending") for name in KEY]
    assert stored.sort_by(in_order).cast(ROWS).equals(rows.sort_by(in_order))
    assert pa.types.is_string(stored["absent"].type)
