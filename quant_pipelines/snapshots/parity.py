"""Is what serving is given bit for bit what training was given (S1-92)?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.calendars import Session, session_key
from quant_pipelines.snapshots.building import SnapshotBuilder
from quant_pipelines.snapshots.deriving import BLOCK, Derived
from quant_pipelines.snapshots.document import Document
from quant_pipelines.snapshots.loading import SnapshotArrays, load


@dataclass(frozen=True, slots=True)
class Disparity:
    """A session in which serving differs from training."""

    session: Session
    symbol: str
    reason: str

    def __str__(self) -> str:
        return f"{self.symbol} in {session_key(self.session)}: {self.reason}"


def disparities(builder: SnapshotBuilder, document: Document, sessions: list[Session]) -> list[Disparity]:
    """Serve each of these sessions again, and compare every row and sequence with the training's."""
    arrays = load(builder.store, document)
    found: list[Disparity] = []
    for session in sessions:
        found += _compared(arrays, builder.serve_again(document, session), session)
    return found


def _compared(arrays: SnapshotArrays, served: Derived, session: Session) -> list[Disparity]:
    layout, length = served.layout, arrays.sequence_sessions
    rows = arrays.rows_of(session)
    symbols = [str(each) for each in arrays.symbols]
    trained = _sequences(arrays.block, arrays.offsets, symbols, rows[arrays.member[rows]], length)
    given = _sequences(
        served.drafts[BLOCK].array, layout.offsets, layout.symbols, np.flatnonzero(layout.member), length
    )
    found: list[Disparity] = []
    for symbol in sorted(trained.keys() | given.keys()):
        if symbol not in given or symbol not in trained:
            found.append(Disparity(session, symbol, f"only {'training' if symbol in trained else 'serving'} has it"))
        elif trained[symbol].shape != given[symbol].shape:
            found.append(Disparity(session, symbol, f"{len(trained[symbol])} against {len(given[symbol])} sessions"))
        elif differs := np.argwhere(trained[symbol].view(np.uint32) != given[symbol].view(np.uint32)).tolist():
            row, column = differs[0]
            values = trained[symbol][row, column], given[symbol][row, column]
            name = arrays.columns[column]
            found.append(Disparity(session, symbol, f"{name} was {values[0]} in training and is {values[1]}"))
    return found


def _sequences(
    block: NDArray[np.float32], offsets: NDArray[np.int64], symbols: Sequence[str], rows: NDArray[np.int64], length: int
) -> dict[str, NDArray[np.float32]]:
    """What a model sees of each row's symbol, its last sessions as far as there are any."""
    owners = np.searchsorted(offsets, rows, side="right") - 1
    begins = np.maximum(offsets[owners], rows - length + 1)
    return {symbols[int(owner)]: block[begin : row + 1] for owner, begin, row in zip(owners, begins, rows, strict=True)}
