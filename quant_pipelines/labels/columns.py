"""The columns of label rows, keyed by (session, symbol, label_set)."""

import pyarrow as pa

from quant_pipelines.arrays import SESSION, SESSION_TYPE, SYMBOL
from quant_pipelines.labels.sets import DUAL_SESSIONS

LABEL_SET = "label_set"
KEY = (SESSION, SYMBOL, LABEL_SET)
RETURNS = tuple(f"return_{number}" for number in range(1, DUAL_SESSIONS + 1))

ROWS = pa.schema(
    [
        pa.field(SESSION, SESSION_TYPE, nullable=False),
        pa.field(SYMBOL, pa.string(), nullable=False),
        pa.field(LABEL_SET, pa.string(), nullable=False),
        pa.field("opens", SESSION_TYPE, nullable=False),
        pa.field("resolves", SESSION_TYPE, nullable=False),
        pa.field("value", pa.float64()),
        pa.field("direction", pa.int8()),
        *(pa.field(name, pa.float64()) for name in RETURNS),
        pa.field("ended", pa.bool_(), nullable=False),
        pa.field("absent", pa.string()),
        pa.field("buyable", pa.bool_()),
        pa.field("sellable", pa.bool_()),
        pa.field("untradable", pa.string()),
    ]
)
