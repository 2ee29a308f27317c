"""Prices laid out as sessions x symbols, with what became of every cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Self, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Calendar, Session, session_key
from quant_pipelines.labels.failures import BadLabelInput
from quant_pipelines.labels.returns import Matrix

PRICES = ("open", "close", "factor", "previous_close")
_FLAGS = ("suspended", "quarantined")
Places = NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)


class State(IntEnum):
    """What a cell is. Everything but TRADED names a reason."""

    TRADED = 0
    NO_BAR = 1
    SUSPENDED = 2
    QUARANTINED = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class PriceGrid:
    """Every session of the market's calendar downwards, symbols across; prices are NaN where nothing traded."""

    sessions: Sequence[Session]
    symbols: tuple[str, ...]
    prices: dict[str, Matrix]
    state: NDArray[np.int8]
    present: NDArray[np.bool_]

    @classmethod
    def from_prices(cls, prices: pa.Table, calendar: Calendar, *, through: Session) -> Self:
        """From rows of the `prices` table in any order. Rows after `through` are left out, as if not yet there.

        The newest session with a row is the last one known.
        """
        _require_columns(prices)
        labels = prices[SESSION].to_numpy()
        prices = prices.filter(pa.array(labels <= np.datetime64(through, "us")))
        sessions, rows = _session_axis(prices, calendar)
        symbols, columns = _symbol_axis(prices)
        shape = len(sessions), len(symbols)
        cells = rows * shape[1] + columns
        _require_unique(cells, sessions, symbols)
        present = np.zeros(shape, bool)
        present.ravel()[cells] = True
        state = _spread(_states(prices), cells, shape, fill=State.NO_BAR)
        traded = state == State.TRADED
        spread = {name: _spread(_numbers(prices, name), cells, shape, fill=np.nan) for name in PRICES}
        for name, matrix in spread.items():
            matrix[~traded] = np.nan
            _require_positive(name, matrix, sessions, symbols)
        return cls(sessions=sessions, symbols=symbols, prices=spread, state=state, present=present)

    @property
    def labels(self) -> NDArray[np.datetime64]:
        return np.array(self.sessions, dtype="datetime64[us]")


def _require_columns(prices: pa.Table) -> None:
    missing = [name for name in (SESSION, SYMBOL, *PRICES, *_FLAGS) if name not in prices.column_names]
    if missing:
        raise BadLabelInput(f"Labels need the columns {', '.join(missing)}. Pass rows of the `prices` table.")


def _session_axis(prices: pa.Table, calendar: Calendar) -> tuple[Sequence[Session], Places]:
    """Every session from the first price to the last, and each row's place among them."""
    if prices.num_rows == 0:
        return [], np.empty(0, np.int64)
    encoded = prices[SESSION].combine_chunks().dictionary_encode()
    found = encoded.dictionary.to_pylist()
    sessions = calendar.sessions(min(found), max(found))
    place = {session: index for index, session in enumerate(sessions)}
    strangers = sorted(each for each in found if each not in place)
    if strangers:
        raise BadLabelInput(
            f"{session_key(strangers[0])} is no session of {calendar.name}, nor are {len(strangers) - 1} other labels "
            "of the prices. Publish the prices again: their sessions are the calendar's."
        )
    return sessions, np.array([place[each] for each in found], np.int64)[_codes(encoded)]


def _symbol_axis(prices: pa.Table) -> tuple[tuple[str, ...], Places]:
    """The symbols in order, and each row's place among them."""
    if prices.num_rows == 0:
        return (), np.empty(0, np.int64)
    encoded = prices[SYMBOL].combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    symbols = tuple(sorted(names))
    place = {symbol: index for index, symbol in enumerate(symbols)}
    return symbols, np.array([place[each] for each in names], np.int64)[_codes(encoded)]


def _codes(encoded: pa.DictionaryArray) -> NDArray[np.int32]:
    return encoded.indices.to_numpy(zero_copy_only=False)


def _numbers(prices: pa.Table, name: str) -> NDArray[np.float64]:
    return prices[name].to_numpy().astype(np.float64, copy=False)


def _states(prices: pa.Table) -> NDArray[np.int8]:
    states = np.where(np.isnan(_numbers(prices, "close")), State.NO_BAR, State.TRADED).astype(np.int8)
    for name, state in zip(_FLAGS, (State.SUSPENDED, State.QUARANTINED), strict=True):
        states[prices[name].to_numpy().astype(bool)] = state
    return states


def _spread(values: NDArray[Scalar], cells: Places, shape: tuple[int, int], *, fill: float) -> NDArray[Scalar]:
    matrix = np.full(shape, fill, values.dtype)
    matrix.ravel()[cells] = values
    return matrix


def _require_unique(cells: Places, sessions: Sequence[Session], symbols: tuple[str, ...]) -> None:
    counts = np.bincount(cells, minlength=0)
    if counts.size and counts.max() > 1:
        row, column = divmod(int(np.argmax(counts > 1)), len(symbols))
        raise BadLabelInput(
            f"{int((counts > 1).sum())} keys have several prices, first {symbols[column]} in "
            f"{session_key(sessions[row])}. Keep one row for each session and symbol."
        )


def _require_positive(name: str, matrix: Matrix, sessions: Sequence[Session], symbols: tuple[str, ...]) -> None:
    wrong = ~(np.isnan(matrix) | ((matrix > 0) & (matrix < np.inf)))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise BadLabelInput(
            f"{name} of {symbols[column]} in {session_key(sessions[row])} is {matrix[row, column]}, and "
            f"{int(wrong.sum())} such values are not positive finite numbers. "
            "Correct them at the source and publish the prices again."
        )
