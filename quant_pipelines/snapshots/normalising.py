"""How columns are scaled: fitted on the rows of the training part, stored as float32, applied everywhere alike."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.kernels.scaling import column_sums, scale_rows
from quant_pipelines.snapshots.failures import CannotScale
from quant_pipelines.strategies import Normalisation

Block = NDArray[np.float32]
Places = NDArray[np.int64]
# Makes the median distance of normal values their standard deviation.
_MAD_TO_SIGMA = 1.4826
# Columns gathered at once: a line of the cache holds so many.
_TOGETHER = 16
_ROWS_A_PART = 65_536


@dataclass(frozen=True, eq=False)
class Scale:
    """(value - centre) / scale, per column. float32, so that the last bits of a sum decide nothing."""

    centre: NDArray[np.float32]
    scale: NDArray[np.float32]
    # Columns without any spread, and without any value, in the rows it was fitted on.
    constant: tuple[int, ...] = ()
    empty: tuple[int, ...] = ()

    @classmethod
    def unit(cls, columns: int) -> "Scale":
        return cls(np.zeros(columns, np.float32), np.ones(columns, np.float32))


def fitted(kind: str, block: Block, rows: Places, columns: Sequence[str], *, threads: int) -> Scale:
    """The scale of these rows' values."""
    if kind == "none" or rows.size == 0:
        return Scale.unit(len(columns))
    centre, spread = (_standard if kind == "standard" else _robust)(block, rows, threads)
    empty = np.isnan(centre)
    unusable = ~empty & ~(np.isfinite(centre) & np.isfinite(spread))
    if unusable.any():
        raise CannotScale(
            f"No scale fits {columns[int(np.flatnonzero(unusable)[0])]}: its values or their squares are infinite. "
            "Bound the feature, or use the robust scale."
        )
    with np.errstate(over="ignore", under="ignore"):
        scale = spread.astype(np.float32)
    constant = ~empty & (scale == 0)
    scale[empty | constant] = 1
    return Scale(
        np.where(empty, 0, centre).astype(np.float32),
        scale,
        tuple(np.flatnonzero(constant).tolist()),
        tuple(np.flatnonzero(empty).tolist()),
    )


def apply(scale: Scale, how: Normalisation, block: Block, *, threads: int) -> None:
    """Scale the block in place; without a scale nothing is touched."""
    if how.kind == "none":
        return
    bound = np.array([np.inf if how.clip is None else how.clip], np.float32)
    missing = np.array([0 if how.missing == "centre" else np.nan], np.float32)
    parts = [block[begin : begin + _ROWS_A_PART] for begin in range(0, block.shape[0], _ROWS_A_PART)]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(scale_rows, part, scale.centre, scale.scale, bound, missing) for part in parts]:
            done.result()


def _standard(block: Block, rows: Places, threads: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation; around a value of the column, so that large levels cost no digits."""
    del threads  # the order of the additions decides the last bits, so it is always the same
    columns = block.shape[1]
    shift = np.zeros(columns)
    for column in range(columns):
        known = block[rows[:: max(1, rows.size // 1000)], column]
        known = known[np.isfinite(known)]
        shift[column] = known[0] if known.size else 0
    counts, sums, squares = np.zeros(columns, np.int64), np.zeros(columns), np.zeros(columns)
    column_sums(block, rows, shift, counts, sums, squares)
    with np.errstate(invalid="ignore", divide="ignore"):
        away = sums / counts
        return shift + away, np.sqrt(np.maximum(squares / counts - away**2, 0))


def _robust(block: Block, rows: Places, threads: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median, and the median distance from it."""
    centre, spread = np.full(block.shape[1], np.nan), np.full(block.shape[1], np.nan)

    def fit(first: int) -> None:
        for at, values in enumerate(np.ascontiguousarray(block[rows, first : first + _TOGETHER].T), start=first):
            known = values[~np.isnan(values)]
            if known.size:
                centre[at] = _median(known)
                spread[at] = _MAD_TO_SIGMA * _median(np.abs(known - np.float32(centre[at])))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fit, range(0, block.shape[1], _TOGETHER)))
    return centre, spread


def _median(values: NDArray[np.float32]) -> float:
    middle = values.size // 2
    ordered = np.partition(values, middle)
    if values.size % 2:
        return float(ordered[middle])
    return (float(ordered[:middle].max()) + float(ordered[middle])) / 2
