"""From the rows of many documents to the one table that a request is answered with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from quant_pipelines.sources.files.factors import Factors
from quant_pipelines.sources.files.rows import RATIO, Codes, Labels, Numbers, Rows, Summary
from quant_pipelines.sources.protocol import BARS, BarRequest

_EPOCH = datetime(1970, 1, 1)
_DAY = 86_400_000_000
_VALUES = tuple(name for name in BARS.names if name not in ("session", "symbol", "factor"))


def label_number(label: datetime) -> int:
    """A session label as microseconds since 1970."""
    return (label - _EPOCH) // timedelta(microseconds=1)


def label_of(number: int) -> datetime:
    """Microseconds since 1970 as a session label."""
    return _EPOCH + timedelta(microseconds=number)


@dataclass(frozen=True, slots=True)
class _Piece:
    """The part of one document that a request asks for: a run of rows, perhaps with some left out."""

    rows: Rows
    run: slice
    chosen: npt.NDArray[np.bool_] | None

    def cut(self, column: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        return column[self.run] if self.chosen is None else column[self.run][self.chosen]

    @property
    def count(self) -> int:
        return self.run.stop - self.run.start if self.chosen is None else int(self.chosen.sum())


def _piece(rows: Rows, request: BarRequest) -> _Piece | None:
    begin = int(np.searchsorted(rows.sessions, label_number(request.first), side="left"))
    end = int(np.searchsorted(rows.sessions, label_number(request.last), side="right"))
    if begin == end:
        return None
    run = slice(begin, end)
    if request.symbols is None:
        return _Piece(rows, run, None)
    wanted = np.array([symbol in request.symbols for symbol in rows.symbols])
    if rows.codes is None:
        return _Piece(rows, run, None) if wanted[0] else None
    chosen = wanted[rows.codes[run]]
    return _Piece(rows, run, chosen) if chosen.any() else None


def assemble(
    documents: Iterable[Rows], request: BarRequest, factors: Factors, summaries: Sequence[Summary]
) -> pa.Table:
    """The bars asked for, sorted by (session, symbol); rows of an equal key stay in the order of their files."""
    pieces = [piece for rows in documents if (piece := _piece(rows, request)) is not None]
    if not pieces:
        return BARS.empty_table()
    symbols = sorted({symbol for piece in pieces for symbol in piece.rows.symbols})
    sessions = np.concatenate([piece.cut(piece.rows.sessions) for piece in pieces]).astype(np.int64, copy=False)
    codes = _codes(pieces, symbols)
    order = _order(sessions, codes)
    sessions, codes = sessions[order], codes[order]
    values = {name: _column(pieces, name, order) for name in (*_VALUES, RATIO)}
    factor = factors.of_rows(values, sessions, codes, symbols, summaries)
    names = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(symbols, pa.string())).cast(pa.string())
    # from_pandas: NaN, the missing value of a numpy column, becomes null.
    columns = [pa.array(values[name], pa.float64(), from_pandas=True) for name in _VALUES]
    labels = pa.array(sessions).cast(BARS.field("session").type)
    return pa.Table.from_arrays([labels, names, *columns, pa.array(factor, from_pandas=True)], schema=BARS)


def _codes(pieces: Sequence[_Piece], symbols: Sequence[str]) -> Codes:
    rank = {symbol: place for place, symbol in enumerate(symbols)}
    parts: list[npt.NDArray[np.generic]] = []
    for piece in pieces:
        ranks = np.array([rank[symbol] for symbol in piece.rows.symbols], dtype=np.int32)
        codes = piece.rows.codes
        parts.append(np.full(piece.count, ranks[0]) if codes is None else piece.cut(ranks[codes]))
    return np.concatenate(parts).astype(np.int32, copy=False)


def _order(sessions: Labels, codes: Codes) -> npt.NDArray[np.int64]:
    """Sorts by session, then symbol, equal keys as they come.

    Days and symbols usually fit 16 bits, where numpy's stable sort is a radix sort: four times as fast here.
    """
    days = sessions // _DAY
    first, last = int(days.min()), int(days.max())
    whole_days = bool((days * _DAY == sessions).all())
    narrow = last - first < 1 << 16 and int(codes.max()) < 1 << 16 and whole_days
    if not narrow:
        return np.lexsort((codes, sessions))
    by_code = (
        np.argsort(codes.astype(np.uint16), kind="stable") if (np.diff(codes) < 0).any() else np.arange(codes.size)
    )
    return by_code[np.argsort((days - first).astype(np.uint16)[by_code], kind="stable")]


def _column(pieces: Sequence[_Piece], name: str, order: npt.NDArray[np.int64]) -> Numbers:
    if not any(name in piece.rows.values for piece in pieces):
        return np.full(order.size, np.nan)
    parts = [
        piece.cut(piece.rows.values[name]) if name in piece.rows.values else np.full(piece.count, np.nan)
        for piece in pieces
    ]
    return np.concatenate(parts).astype(np.float64, copy=False)[order]
