"""All 158 factors over a panel at once, a chunk of symbols at a time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from quant_pipelines.features.alpha158.catalogue import NAMES
from quant_pipelines.features.panel import FIELDS, BarPanel, Bars
from quant_pipelines.kernels import correlation, extremes, moments, order, ratios, sums
from quant_pipelines.kernels.compiled import Rows, Singles
from quant_pipelines.kernels.tile import WINDOWS

# Rows computed together: their inputs stay in a core's cache while the families pass over them.
CHUNK_ROWS = 32_768
_EPSILON = np.float32(1e-12)
_ONE = np.float32(1)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some symbols: their bars, where each history starts, and which rows go where in the output."""

    bars: Singles
    starts: Rows
    spans: Rows


def compute(panel: BarPanel, *, threads: int = 1, newest: int | None = None, out: Singles | None = None) -> Singles:
    """The factors, one row per factor in the catalogue's order, one column per row of the panel.

    With `newest`, only for the last so many sessions of every symbol: the panel then needs just
    `LOOK_BACK_SESSIONS` rows more, and the bits are those of a full run. `out` reuses memory.
    """
    spans = _spans(panel.offsets, newest)
    columns = int((spans[:, 2] - spans[:, 1]).sum())
    if out is None:
        out = np.empty((len(NAMES), columns), np.float32)
    if out.shape != (len(NAMES), columns) or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise ValueError(f"out is {out.dtype} {out.shape}; it must be C-contiguous float32 {(len(NAMES), columns)}.")
    chunks = list(_chunks(panel.values, spans))
    if threads == 1:
        for chunk in chunks:
            _fill(chunk, out)
        return out
    # The kernels let go of the interpreter lock; chunks write to places of their own, so their order is free.
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(_fill, chunk, out) for chunk in chunks]:
            done.result()
    return out


def mask_suspended(factors: Singles, panel: BarPanel) -> Singles:
    """NaN for every factor of a session on which the symbol did not trade, in place: it is from a stale window."""
    factors[:, panel.suspended] = np.nan
    return factors


def _spans(offsets: Rows, newest: int | None) -> Rows:
    starts, ends = offsets[:-1], offsets[1:]
    firsts = starts if newest is None else np.maximum(starts, ends - newest)
    targets = np.cumsum(ends - firsts) - (ends - firsts)
    return np.stack([starts, firsts, ends, targets], axis=1).astype(np.int64)


def _chunks(bars: Bars, spans: Rows) -> Iterator[_Chunk]:
    first = 0
    while first < len(spans):
        last = first + 1
        while last < len(spans) and spans[last, 2] - spans[first, 0] <= CHUNK_ROWS:
            last += 1
        begin, end = int(spans[first, 0]), int(spans[last - 1, 2])
        local = spans[first:last].copy()
        local[:, :3] -= begin
        yield _Chunk(np.ascontiguousarray(bars[:, begin:end], np.float32), local[:, 0].copy(), local)
        first = last


def _fill(chunk: _Chunk, out: Singles) -> None:
    """Family by family; see the catalogue for the expressions."""
    spans = chunk.spans
    _open, high, low, close, volume, _vwap = (chunk.bars[row] for row in range(len(FIELDS)))
    with np.errstate(all="ignore"):
        # float32 step by step, as pyqlib computes them.
        close_ratio, volume_ratio = close / _previous(close, chunk.starts), volume / _previous(volume, chunk.starts)
        close_change, volume_change = close - _previous(close, chunk.starts), volume - _previous(volume, chunk.starts)
        floored_volume = volume + _EPSILON
        log_volume, log_volume_ratio = np.log(volume + _ONE), np.log(volume_ratio + _ONE)
        flow = np.abs(close_ratio - _ONE) * volume
    ratios.candles(chunk.bars, spans, _family(out, "KMID", "VWAP0"))
    ratios.references(close, spans, _family(out, "ROC"))
    moments.trends(close, spans, _family(out, "MA", "RESI"))
    extremes.ranges(high, low, close, spans, _family(out, "MAX", "MIN"), _family(out, "RSV"))
    order.quantiles(close, close, spans, _family(out, "QTLU", "QTLD"))
    order.ranks(close, spans, _family(out, "RANK"))
    extremes.ages(high, low, spans, _family(out, "IMAX", "IMXD"))
    correlation.correlations(close, log_volume, spans, _family(out, "CORR"))
    correlation.correlations(close_ratio, log_volume_ratio, spans, _family(out, "CORD"))
    sums.shares_by_number(close_change, spans, _family(out, "CNTP", "CNTD"))
    sums.shares_by_size(close_change, spans, _family(out, "SUMP", "SUMD"))
    moments.scaled_spreads(volume, floored_volume, spans, _family(out, "VMA", "VSTD"))
    moments.relative_spreads(flow, spans, _family(out, "WVMA"))
    sums.shares_by_size(volume_change, spans, _family(out, "VSUMP", "VSUMD"))


def _previous(series: Singles, starts: Rows) -> Singles:
    before = np.empty_like(series)
    before[1:] = series[:-1]
    before[starts[starts < series.size]] = np.nan
    return before


def _family(out: Singles, first: str, last: str | None = None) -> Singles:
    """The rows of `out` from one factor, or operator, to another; an operator has a row per window."""
    begin = NAMES.index(first) if first in NAMES else NAMES.index(f"{first}{WINDOWS[0]}")
    last = last or first
    end = NAMES.index(last) if last in NAMES else NAMES.index(f"{last}{WINDOWS[-1]}")
    return out[begin : end + 1]
