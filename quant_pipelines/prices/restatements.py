"""What a vendor changed after the fact: every bar that was published once and reads otherwise now."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.arrays import SESSION, SESSION_TYPE
from quant_pipelines.calendars import Session
from quant_pipelines.lake.comparing import WHOLE_ROW, changed_cells
from quant_pipelines.lake.tables import PRICES, RESTATEMENTS

_NUMBERS = ("open", "high", "low", "close", "volume", "amount", "factor")
# What the vendor said. vwap and the limit flags follow from it, and the reference price from the session before.
_WATCHED = (*_NUMBERS, "suspended", "quarantined", WHOLE_ROW)


def restated(
    old: pa.Table, new: pa.Table, *, versions: Mapping[Session, tuple[str, str]], seen_at: datetime
) -> pa.Table:
    """One row per changed cell, and one where a whole bar appeared or vanished.

    `versions` holds the data versions before and after for the sessions that changed.
    """
    changed = pa.array(list(versions), SESSION_TYPE)
    cells = changed_cells(_of(old, changed), _of(new, changed), PRICES)
    cells = cells.filter(pc.is_in(cells["column"], pa.array(_WATCHED))).rename_columns(
        {"old": "old_value", "new": "new_value"}
    )
    before_and_after = [versions[session] for session in cells[SESSION].to_pylist()]
    columns = {
        "relative_change": _relative_change(cells),
        "old_version": pa.array([before for before, _ in before_and_after], pa.string()),
        "new_version": pa.array([after for _, after in before_and_after], pa.string()),
        "seen_at": pa.array([seen_at] * cells.num_rows, pa.timestamp("us", "UTC")),
    }
    for name, values in columns.items():
        cells = cells.append_column(name, values)
    return cells.select(RESTATEMENTS.names).cast(RESTATEMENTS.arrow)


def _of(rows: pa.Table, sessions: pa.Array) -> pa.Table:
    return rows.filter(pc.is_in(rows[SESSION], sessions))


def _relative_change(cells: pa.Table) -> pa.ChunkedArray:
    """new / old - 1 where both are numbers and the result is one."""
    numeric = pc.is_in(cells["column"], pa.array(_NUMBERS))
    nothing = pa.scalar(None, pa.string())
    old, new = (pc.if_else(numeric, cells[name], nothing).cast(pa.float64()) for name in ("old_value", "new_value"))
    change = pc.subtract(pc.divide(new, old), 1.0)
    return pc.if_else(pc.is_finite(change), change, pa.scalar(None, pa.float64()))
