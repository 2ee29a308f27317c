"""How versions do against each other while they serve: one number a session, once what they forecast has come."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session
from quant_pipelines.deployment import Live, Observation, rivals
from quant_pipelines.label_tables import LABELS
from quant_pipelines.lake import Lake, Window
from quant_pipelines.predictions.schema import PREDICTIONS, SCORE, STRATEGY, VERSION
from quant_pipelines.validation import FEWEST_NAMES, block_correlations

_ROW = [SESSION, SYMBOL]
_OTHER = "_other"
_RESOLVES, _LABEL_SET, _VALUE = "resolves", "label_set", "value"


def observations(lake: Lake, market: str, live: Live, label_set: str, *, through: Session) -> Sequence[Observation]:
    """The sessions since the stage began whose labels had resolved, each with both versions' IC of that session.

    Both score every symbol, whoever serves it, so they are compared on identical rows.
    """
    pair = rivals(live)
    table = lake.stored(market, PREDICTIONS.name)
    if pair is None or table is None or through <= pair[0].since:
        return []
    candidate, champion = (f"{live.model}/{each.version.number}" for each in pair)
    window = Window(pair[0].since, through)
    rows = table.read(window, columns=[SESSION, SYMBOL, STRATEGY, VERSION, SCORE])
    mine, theirs = _scores(rows, candidate), _scores(rows, champion)
    both = mine.join(theirs, _ROW, right_suffix=_OTHER, join_type="inner")
    return _observed(joined_with_labels(lake, market, both, label_set, window))


def joined_with_labels(lake: Lake, market: str, rows: pa.Table, label_set: str, window: Window) -> pa.Table:
    """Rows by session and symbol, each with the value of its label, where that had resolved by the window's end."""
    labels = lake.stored(market, LABELS.name)
    stored = LABELS.arrow.empty_table() if labels is None else labels.read(window)
    realised = realised_by(stored, label_set, window.last)
    return rows.join(realised, _ROW, join_type="inner").sort_by([(name, "ascending") for name in _ROW])


def _scores(rows: pa.Table, version: str) -> pa.Table:
    return rows.filter(pc.equal(rows[VERSION], version)).select([SESSION, SYMBOL, SCORE])


def realised_by(labels: pa.Table, label_set: str, through: Session) -> pa.Table:
    """What came, of labels that had resolved by a session."""
    known = pc.and_(
        pc.equal(labels[_LABEL_SET], label_set),
        pc.less_equal(labels[_RESOLVES], pa.scalar(through, labels[_RESOLVES].type)),
    )
    return labels.filter(pc.and_(known, pc.is_valid(labels[_VALUE]))).select([SESSION, SYMBOL, _VALUE])


def _observed(joined: pa.Table) -> list[Observation]:
    sessions, place = np.unique(joined[SESSION].to_numpy(), return_inverse=True)
    value = joined[_VALUE].to_numpy().astype(np.float64)
    mine, theirs = (
        block_correlations(joined[name].to_numpy(), value, place.astype(np.int64), fewest=FEWEST_NAMES)
        for name in (SCORE, f"{SCORE}{_OTHER}")
    )
    labels = [session.astype("datetime64[us]").item() for session in sessions]
    worth = zip(labels, map(number_or_none, mine), map(number_or_none, theirs), strict=True)
    return [Observation(session=session, candidate=one, champion=other) for session, one, other in worth]


def number_or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
