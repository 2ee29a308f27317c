"""What a vendor changed after the fact: every bar that was published once and reads otherwise now."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session
from quant_pipelines.lake.tables import BAR_COLUMNS, PRICES, RESTATEMENTS

_KEY = list(PRICES.key)
# What the vendor said; vwap and the limit flags only follow from it.
_WATCHED = [column.name for column in BAR_COLUMNS] + ["suspended", "quarantined"]
WHOLE_ROW = "row"


def restated(
    old: pa.Table, new: pa.Table, *, versions: Mapping[Session, tuple[str, str]], seen_at: datetime
) -> pa.Table:
    """One row per changed cell, and one where a whole bar appeared or vanished.

    `versions` holds the data versions before and after for the sessions that changed.
    """
    changed = pa.array(list(versions), old[SESSION].type)
    before = old.filter(pc.is_in(old[SESSION], changed)).append_column("_before", _positions(old, changed))
    after = new.filter(pc.is_in(new[SESSION], changed)).append_column("_after", _positions(new, changed))
    joined = before.select([*_KEY, "_before"]).join(after.select([*_KEY, "_after"]), _KEY, join_type="full outer")
    pieces = [_appeared_or_vanished(joined)]
    both = joined.filter(pc.and_(pc.is_valid(joined["_before"]), pc.is_valid(joined["_after"])))
    pieces.extend(_changed_cells(name, both, before, after) for name in _WATCHED)
    cells = pa.concat_tables(pieces)
    return _stamped(cells, versions, seen_at).sort_by([(name, "ascending") for name in RESTATEMENTS.key])


def _positions(table: pa.Table, changed: pa.Array) -> pa.Array:
    count = int(pc.sum(pc.is_in(table[SESSION], changed)).as_py() or 0)
    return pa.array(np.arange(count))


_CELL = pa.schema(
    [
        *(
            RESTATEMENTS.arrow.field(name)
            for name in (SESSION, SYMBOL, "column", "old_value", "new_value", "relative_change")
        )
    ]
)


def _appeared_or_vanished(joined: pa.Table) -> pa.Table:
    alone = joined.filter(pc.or_(pc.is_null(joined["_before"]), pc.is_null(joined["_after"])))
    present = pa.scalar("present")
    return _cells(
        alone,
        WHOLE_ROW,
        pc.if_else(pc.is_valid(alone["_before"]), present, pa.scalar(None, pa.string())),
        pc.if_else(pc.is_valid(alone["_after"]), present, pa.scalar(None, pa.string())),
        pa.nulls(alone.num_rows, pa.float64()),
    )


def _changed_cells(name: str, both: pa.Table, before: pa.Table, after: pa.Table) -> pa.Table:
    old = before[name].take(both["_before"])
    new = after[name].take(both["_after"])
    differs = pc.or_kleene(pc.fill_null(pc.not_equal(old, new), False), pc.not_equal(pc.is_null(old), pc.is_null(new)))
    old, new = old.filter(differs), new.filter(differs)
    numeric = pa.types.is_floating(old.type)
    change = pc.subtract(pc.divide(new, old), 1.0) if numeric else pa.nulls(len(old), pa.float64())
    finite = pc.if_else(pc.is_finite(change), change, pa.scalar(None, pa.float64())) if numeric else change
    return _cells(both.filter(differs), name, pc.cast(old, pa.string()), pc.cast(new, pa.string()), finite)


def _cells(keys: pa.Table, column: str, old: pa.Array, new: pa.Array, change: pa.Array) -> pa.Table:
    names = pa.array([column] * keys.num_rows, pa.string())
    return pa.table([keys[SESSION], keys[SYMBOL], names, old, new, change], schema=_CELL)


def _stamped(cells: pa.Table, versions: Mapping[Session, tuple[str, str]], seen_at: datetime) -> pa.Table:
    lookup = [versions[session] for session in cells[SESSION].to_pylist()]
    return (
        cells.append_column("old_version", pa.array([old for old, _ in lookup], pa.string()))
        .append_column("new_version", pa.array([new for _, new in lookup], pa.string()))
        .append_column("seen_at", pa.array([seen_at] * cells.num_rows, pa.timestamp("us", "UTC")))
        .cast(RESTATEMENTS.arrow)
    )
