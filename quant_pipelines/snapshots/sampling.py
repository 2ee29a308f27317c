"""Which rows are learned from: members whose label had closed at the cutoff, and what that label is."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session
from quant_pipelines.lake import Window
from quant_pipelines.snapshots.document import FrozenLabels, FrozenSplit, Part, Recipe
from quant_pipelines.snapshots.failures import InputMissing
from quant_pipelines.snapshots.gathering import Tables
from quant_pipelines.snapshots.layout import Keys, Layout, places_of
from quant_pipelines.validation import Holdout, LabelSpans

LABEL_SET = "label_set"
OPENS, RESOLVES = "opens", "resolves"
_RETURN = "return_"
_UNKNOWN = -1


@dataclass(frozen=True, eq=False, kw_only=True)
class Samples:
    """Rows of the block by session and symbol, with their labels; `direction` and `returns` where the set has them.

    `opens` and `resolves` are places on the axis. `buyable`: 1 yes, 0 no, -1 unknown.
    """

    rows: NDArray[np.int64]
    opens: NDArray[np.int32]
    resolves: NDArray[np.int32]
    value: NDArray[np.float64]
    buyable: NDArray[np.int8]
    direction: NDArray[np.int8] | None
    returns: NDArray[np.float64] | None
    left_out: dict[str, int]


def label_columns(stored: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of the labels' table that are read."""
    returns = sorted(name for name in stored if name.startswith(_RETURN))
    return (LABEL_SET, OPENS, RESOLVES, "value", "direction", *returns, "absent", "buyable")


def sampled(recipe: Recipe, labels: FrozenLabels, tables: Tables, layout: Layout) -> Samples:
    """The samples of the window, and how many of its rows are none, by reason."""
    found = _closed(recipe, labels, tables)
    sources, targets = layout.targets(Keys.of(found, layout.axis))
    ours = layout.member[targets]
    rows, taken = targets[ours], sources[ours]
    absent = found["value"].is_null().to_numpy()[taken]
    buyable = _flags(found["buyable"])[taken]
    barred = (buyable == 0) & ~absent if recipe.row_filter.untradable == "leave_out" else np.zeros(rows.size, bool)
    missing = found["absent"].take(pa.array(taken[absent]))
    reasons = pc.value_counts(pc.fill_null(missing, "unknown")).to_pylist()
    chosen = np.flatnonzero(~absent & ~barred)
    chosen = _by_session(chosen, rows, layout)
    at = taken[chosen]
    returns = [name for name in found.column_names if name.startswith(_RETURN)]
    has_returns = bool(returns) and _has(found[returns[0]], at)
    return Samples(
        rows=rows[chosen],
        opens=_places(found[OPENS], at, layout),
        resolves=_places(found[RESOLVES], at, layout),
        value=found["value"].to_numpy()[at].astype(np.float64),
        buyable=buyable[chosen],
        direction=found["direction"].to_numpy()[at].astype(np.int8) if _has(found["direction"], at) else None,
        returns=np.stack([found[name].to_numpy()[at] for name in returns], axis=1) if has_returns else None,
        left_out={
            "label not closed at the cutoff": int(layout.member.sum()) - rows.size,
            "could not be bought": int(barred.sum()),
            **{f"label absent: {each['values']}": int(each["counts"]) for each in reasons},
        },
    )


def split_of(recipe: Recipe, samples: Samples, layout: Layout) -> FrozenSplit:
    """The holdout last, validation, training, with gaps as long as the label span (X-18)."""
    sessions = layout.session[samples.rows].astype(np.int64)
    spans = LabelSpans(sessions, samples.opens.astype(np.int64), samples.resolves.astype(np.int64))
    split = Holdout(validation_share=recipe.validation_share or 0.5).split(spans)
    parts = [_part(layout, sessions[rows]) for rows in (split.train, split.validation, split.holdout)]
    return FrozenSplit(
        status=str(split.status), reason=split.reason, train=parts[0], validation=parts[1], holdout=parts[2]
    )


def _part(layout: Layout, sessions: NDArray[np.int64]) -> Part | None:
    if sessions.size == 0:
        return None
    first, last = layout.label(int(sessions.min())), layout.label(int(sessions.max()))
    return Part(first=first, last=last, rows=int(sessions.size))


def _closed(recipe: Recipe, labels: FrozenLabels, tables: Tables) -> pa.Table:
    """Rows of the label set whose span had closed at the cutoff; a signal that has none is refused."""
    table = labels.table
    window, columns = Window(recipe.window_first, recipe.cutoff), [SESSION, SYMBOL, *table.columns]
    rows = tables[table.table].read(window, columns, coded=[SYMBOL, LABEL_SET])
    of_set = pc.equal(rows[LABEL_SET], labels.label_set)
    closed = pc.less_equal(rows[RESOLVES], pa.scalar(recipe.cutoff, rows[RESOLVES].type))
    wanted = pc.and_(of_set, closed)
    found = rows.drop_columns([LABEL_SET])
    # Filtering copies every column.
    found = found if pc.all(wanted, skip_nulls=False).as_py() else found.filter(wanted)
    there = set(found[SESSION].unique().to_pylist())
    missing = [each for each in closed_signals(recipe, labels.span_sessions) if each not in there]
    if missing:
        raise InputMissing.sessions(f"{recipe.market}/{table.table} (label set {labels.label_set})", missing)
    return found


def closed_signals(recipe: Recipe, span: int) -> list[Session]:
    """The sessions of the window whose labels had closed at the cutoff."""
    window = [each for each in recipe.axis if each >= recipe.window_first]
    return window[: max(len(window) - span, 0)]


def _by_session(chosen: NDArray[np.int64], rows: NDArray[np.int64], layout: Layout) -> NDArray[np.int64]:
    """In order of sessions, and of the block's rows in each: as labels are stored, if no symbol was left out."""
    session, row = layout.session[rows[chosen]], rows[chosen]
    ordered = (session[1:] > session[:-1]) | ((session[1:] == session[:-1]) & (row[1:] > row[:-1]))
    return chosen if ordered.all() else chosen[np.lexsort((row, session))]


def _has(column: pa.ChunkedArray, at: NDArray[np.int64]) -> bool:
    """Whether the label set has this column: all of its labels do, or none."""
    return bool(column.is_valid().to_numpy()[at].any())


def _places(column: pa.ChunkedArray, at: NDArray[np.int64], layout: Layout) -> NDArray[np.int32]:
    return places_of(column.to_numpy()[at], layout.axis).astype(np.int32)


def _flags(column: pa.ChunkedArray) -> NDArray[np.int8]:
    numbers: Any = pc.fill_null(column.cast(pa.int8()), _UNKNOWN)
    return numbers.to_numpy().astype(np.int8)
