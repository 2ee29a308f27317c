"""From prices to label rows. A row exists once its span has closed, and never changes after that."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quant_pipelines.arrays import SESSION_TYPE
from quant_pipelines.calendars import Session
from quant_pipelines.labels.columns import RETURNS, ROWS
from quant_pipelines.labels.grid import PriceGrid, State
from quant_pipelines.labels.returns import Matrix
from quant_pipelines.labels.sets import Classes, LabelSet
from quant_pipelines.labels.tradability import Obstacle, Tradability, tradability
from quant_pipelines.labels.venue import Mask, Places, Venue

# Returns closer to a threshold than this are on it: 100 to 100.5 is half a percent, whatever binary fractions say.
_ON_THE_EDGE = 1e-12


class Absence(IntEnum):
    """Why a label has no value: what its first missing close was."""

    NONE = 0
    NO_BAR = State.NO_BAR
    SUSPENDED = State.SUSPENDED
    QUARANTINED = State.QUARANTINED
    DELISTED = 4
    FACTOR_UNKNOWN = 5


@dataclass(frozen=True, eq=False, kw_only=True)
class _Closes:
    """Adjusted closes; from a symbol's delisting on its last traded one, which is what its holder was left with."""

    values: Matrix
    dated: Mask
    state: NDArray[np.int8]
    last_traded: Places

    @classmethod
    def of(cls, grid: PriceGrid, venue: Venue) -> Self:
        close, factor = grid.prices["close"], grid.prices["factor"]
        dated = ~np.isnan(factor)
        values = close * np.where(dated, factor, 1.0)
        places = np.arange(len(grid.sessions))[:, None]
        last_listed = venue.last_places(grid.symbols, grid.labels)
        ended = places > last_listed[None, :]
        traded = (grid.state == State.TRADED) & ~ended
        last_traded = np.where(traded, places, -1).max(axis=0, initial=-1)
        rows, columns = np.nonzero(ended & (last_traded >= 0)[None, :])
        values[rows, columns] = values[last_traded[columns], columns]
        dated[rows, columns] = dated[last_traded[columns], columns]
        state = np.where(ended, np.int8(Absence.DELISTED), grid.state)
        return cls(values=values, dated=dated, state=state, last_traded=last_traded)


def label_rows(prices: pa.Table, sets: Sequence[LabelSet], venue: Venue, *, through: Session) -> pa.Table:
    """The rows of these label sets that are resolved by the close of `through`, one per set and published price.

    Adjusted as of each label's resolution: a return needs only the factors of its own two closes, so that no later
    dividend or split touches it. A span longer than the prices gives no rows.
    """
    grid = PriceGrid.from_prices(prices, venue.calendar, through=through)
    fills = tradability(grid, venue)
    closes = _Closes.of(grid, venue)
    tables = [_rows_of(each, grid, closes, fills) for each in sets]
    return pa.concat_tables([ROWS.empty_table(), *tables])


def _rows_of(label_set: LabelSet, grid: PriceGrid, closes: _Closes, fills: Tradability) -> pa.Table:
    signals = max(len(grid.sessions) - label_set.resolves_after, 0)
    rows, columns = np.nonzero(grid.present[:signals])
    absence = _absence(label_set, closes, signals)[rows, columns]
    there = absence == Absence.NONE
    value = np.where(there, _return(closes, label_set.opens_after, label_set.resolves_after, rows, columns), np.nan)
    labels = grid.labels
    ended = there & (closes.state[rows + label_set.resolves_after, columns] == Absence.DELISTED)
    arrays = [
        pa.array(labels[rows], SESSION_TYPE),
        _named(grid.symbols, columns),
        _named([label_set.name], np.zeros(rows.size, np.int64)),
        pa.array(labels[rows + label_set.opens_after], SESSION_TYPE),
        pa.array(labels[rows + label_set.resolves_after], SESSION_TYPE),
        pa.array(value, pa.float64(), from_pandas=True),
        _directions(value, there, label_set.classes),
        *_returns_by_session(label_set, closes, there, rows, columns),
        pa.array(ended),
        _reasons(Absence, absence),
        *_fill_columns(fills, rows, columns),
    ]
    return pa.table(arrays, schema=ROWS)


def _absence(label_set: LabelSet, closes: _Closes, signals: int) -> NDArray[np.int8]:
    """The reason of the first close that a label lacks; a delisted name lacks one if it never traded after opening."""
    absence = np.zeros((signals, closes.state.shape[1]), np.int8)
    for number, after in enumerate(label_set.closes):
        state = closes.state[after : after + signals]
        missing = state != State.TRADED
        if number:
            missing &= state != Absence.DELISTED
        np.copyto(absence, state, where=missing & (absence == Absence.NONE))
    opened = np.arange(signals)[:, None] + label_set.opens_after
    resolved = closes.state[label_set.resolves_after : label_set.resolves_after + signals]
    never_traded_on = (resolved == Absence.DELISTED) & (closes.last_traded[None, :] <= opened)
    absence[never_traded_on & (absence == Absence.NONE)] = Absence.DELISTED
    for earlier, later in pairwise(label_set.closes):
        undated = closes.dated[earlier : earlier + signals] != closes.dated[later : later + signals]
        absence[undated & (absence == Absence.NONE)] = Absence.FACTOR_UNKNOWN
    return absence


def _return(closes: _Closes, opens: int, resolves: int, rows: Places, columns: Places) -> NDArray[np.float64]:
    return closes.values[rows + resolves, columns] / closes.values[rows + opens, columns] - 1.0


def _directions(value: NDArray[np.float64], there: Mask, classes: Classes | None) -> pa.Array:
    if classes is None:
        return pa.nulls(value.size, pa.int8())
    return pa.array(direction(np.where(there, value, 0.0), classes), mask=~there)


def direction(value: NDArray[np.float64], classes: Classes) -> NDArray[np.int8]:
    """The class of each return; one on a threshold is not beyond it."""
    up = (value > classes.up_above + _ON_THE_EDGE).astype(np.int8)
    if classes.down_below is None:
        return up
    return up - (value < classes.down_below - _ON_THE_EDGE).astype(np.int8)


def _returns_by_session(
    label_set: LabelSet, closes: _Closes, there: Mask, rows: Places, columns: Places
) -> list[pa.Array]:
    if not label_set.by_session:
        return [pa.nulls(rows.size, pa.float64()) for _ in RETURNS]
    pairs = pairwise(label_set.closes)
    returns = (_return(closes, earlier, later, rows, columns) for earlier, later in pairs)
    return [pa.array(np.where(there, each, np.nan), pa.float64(), from_pandas=True) for each in returns]


def _fill_columns(fills: Tradability, rows: Places, columns: Places) -> list[pa.Array]:
    unknown = fills.unknown[rows, columns]
    return [
        pa.array(fills.buyable[rows, columns], mask=unknown),
        pa.array(fills.sellable[rows, columns], mask=unknown),
        _reasons(Obstacle, fills.obstacle[rows, columns]),
    ]


def _named(names: Sequence[str], places: Places) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32)), pa.array(names, pa.string())).cast(
        pa.string()
    )


def _reasons(kind: type[IntEnum], codes: NDArray[np.int8]) -> pa.Array:
    names = pa.array([each.name.lower() for each in kind], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes == 0), names).cast(pa.string())
