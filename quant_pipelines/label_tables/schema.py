"""The table of labels: one row for each price, label set and session of the signal."""

import pyarrow as pa

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.labels import KEY, LABEL_SET, RETURNS, ROWS
from quant_pipelines.lake.schemas import Column, TableSchema
from quant_pipelines.lineage.made_from import MADE_FROM

# A fraction of a price, so that a model is judged in what it can earn; see docs/labels.md for what each set measures.
_DESCRIPTIONS = {
    SESSION: "The session of the signal, at whose close it is made.",
    SYMBOL: "The instrument, as the source names it.",
    LABEL_SET: "Which question the label answers: direction3, dual or qlib_return.",
    "opens": "The session at whose close the measured return begins.",
    "resolves": "The session at whose close the label is known. Before it there is no row.",
    "value": "The return from the close of `opens` to that of `resolves`, adjusted; null where a close is missing.",
    "direction": "1 up, -1 down, 0 neither; 1 or 0 in `dual`, null in sets without classes.",
    **{each: f"The return of session {at} of the span, in sets that have them." for at, each in enumerate(RETURNS, 1)},
    "ended": "The symbol left the market within the span; its last traded close stands for the later ones.",
    "absent": "Why there is no value: what the first missing close was.",
    "buyable": "A buy order could be filled at the open after the signal; null where that is unknown.",
    "sellable": "A sell order could be filled at the open after the signal; null where that is unknown.",
    "untradable": "What stood against a fill in either direction.",
}  # fmt: skip

LABELS = TableSchema(
    "labels",
    "What happened after each session, for training and judging: one row per price and label set, from prices only. "
    "A row appears when its span has closed, never before; only a corrected price of that span changes it afterwards.",
    key=KEY,
    columns=(
        *(Column(each.name, each.type, _DESCRIPTIONS[each.name], nullable=each.nullable) for each in ROWS),
        Column(
            MADE_FROM,
            pa.string(),
            "Digest of the definitions, the listings and the content id of every session of prices that was read.",
            nullable=False,
            identity=False,
        ),
    ),
)
