"""Rows of `prices` as the panel that features are computed on, and the way back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session, session_key
from quant_pipelines.errors import DataRejected
from quant_pipelines.features.panel import FIELDS, PRICE_FIELDS, BarPanel, drop_impossible

PRICE_COLUMNS = (SESSION, SYMBOL, *FIELDS, "factor")
Places = NDArray[np.int64]


class FactorsMixed(DataRejected):
    """A symbol has adjustment factors for some of its sessions only, so no return over the seam means anything."""

    code = "QP265"

    def __init__(self, symbol: str, session: Session) -> None:
        super().__init__(
            f"{symbol} has adjustment factors, but none for {session_key(session)}, on which it traded. "
            "Deliver a factor for every session of the symbol, or for none, and materialise prices again."
        )


@dataclass(frozen=True, slots=True)
class PricePanel:
    """A panel, and for each row of the price table its place in it."""

    panel: BarPanel
    places: Places


def price_panel(prices: pa.Table, sessions: Sequence[Session], *, begun: Collection[str] = ()) -> PricePanel:
    """The panel of rows in (session, symbol) order over these sessions of the calendar.

    Prices are multiplied with their dated factor and never divided by a later one, so no row changes when the
    future arrives. A symbol begins with its first row, or with the first session where it is among `begun`;
    sessions without a row in between are missing ones.
    """
    encoded = prices[SYMBOL].combine_chunks().dictionary_encode()
    symbols: list[str] = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy().astype(np.int64)
    labels = np.array(sessions, dtype="datetime64[us]")
    at = np.searchsorted(labels, prices[SESSION].to_numpy())
    first, last = np.zeros(len(symbols), np.int64), np.zeros(len(symbols), np.int64)
    first[codes[::-1]], last[codes] = at[::-1], at  # rows are in session order: the last assignment wins
    first[np.isin(symbols, list(begun))] = 0
    offsets = np.append(0, np.cumsum(last - first + 1))
    places = offsets[codes] + at - first[codes]
    in_order = np.arange(int(offsets[-1])) - np.repeat(offsets[:-1] - first, np.diff(offsets))
    values = np.full((len(FIELDS), int(offsets[-1])), np.nan)
    for row, name in zip(values, FIELDS, strict=True):
        row[places] = prices[name].to_numpy()
    factor = np.full(int(offsets[-1]), np.nan)
    factor[places] = prices["factor"].to_numpy()
    # Before factors meet them: a factor cannot make a possible price of an impossible one.
    drop_impossible(values)
    panel = BarPanel(values, offsets, tuple(symbols), labels[in_order])
    return PricePanel(_adjusted(panel, factor), places)


def _adjusted(panel: BarPanel, factor: NDArray[np.float64]) -> BarPanel:
    """Scaled in place by the dated factors; symbols without any are as they traded."""
    traded, dated = ~panel.suspended, ~np.isnan(factor)
    owner = np.repeat(np.arange(len(panel.symbols)), np.diff(panel.offsets))
    has_factors = np.zeros(len(panel.symbols), bool)
    has_factors[owner[traded & dated]] = True
    torn = np.flatnonzero(traded & ~dated & has_factors[owner])
    if torn.size:
        raise FactorsMixed(panel.symbols[owner[torn[0]]], cast("Session", panel.sessions[torn[0]].item()))
    scale = np.where(dated, factor, 1.0)
    for row, name in zip(panel.values, FIELDS, strict=True):
        by = np.multiply if name in PRICE_FIELDS else np.divide
        by(row, scale, out=row)
    drop_impossible(panel.values)
    return replace(panel, factor=scale)
