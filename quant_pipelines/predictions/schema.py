"""The table of predictions: what every version that serves, or may serve next, said of every symbol."""

import pyarrow as pa

from quant_pipelines.arrays import SESSION, SESSION_TYPE, SYMBOL
from quant_pipelines.lake.schemas import Column, TableSchema

STRATEGY, VERSION, ROLE, STAGE, SERVES, SCORE = "strategy", "version", "role", "stage", "serves", "score"
LINEAGE = "infer_lineage_id"
KEY = (SESSION, SYMBOL, STRATEGY, VERSION)

PREDICTIONS = TableSchema(
    "predictions",
    "What every version that serves or may serve next said at the close of a session: champion, canary, shadows, and "
    "the version before the champion. `serves` marks the one whose score counts for the symbol.",
    key=KEY,
    columns=(
        Column(SESSION, SESSION_TYPE, "The session at whose close it was said.", nullable=False),
        Column(SYMBOL, pa.string(), "The instrument, as the source names it.", nullable=False),
        Column(STRATEGY, pa.string(), "Whose model it is.", nullable=False),
        Column(VERSION, pa.string(), "The stored version, as `qp models list` names it.", nullable=False),
        Column(ROLE, pa.string(), "champion, canary, shadow, previous or arm (of an experiment).", nullable=False),
        Column(STAGE, pa.int32(), "The percentage of the universe that the version serves.", nullable=False),
        Column(
            SERVES, pa.bool_(), "Whether this version's score is the one that counts for the symbol.", nullable=False
        ),
        Column(SCORE, pa.float64(), "Higher is better: a return, or P(up) - P(down).", nullable=False),
        Column(LINEAGE, pa.string(), "The inference that froze what the version was given.", nullable=False),
    ),
)
