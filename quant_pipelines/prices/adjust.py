"""Adjusted prices, as somebody standing at a cutoff would have computed them."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session

_PRICES = ("open", "high", "low", "close", "previous_close", "vwap")


def adjusted(prices: pa.Table, *, cutoff: Session) -> pa.Table:
    """Prices times factor(t) / factor(cutoff), volume divided by it; rows after the cutoff are left out.

    A symbol without any factor is returned as it is: no corporate action is known for it.
    """
    known = prices.filter(pc.less_equal(prices[SESSION], pa.scalar(cutoff, prices[SESSION].type)))
    ratio = _ratio(known)
    result = known
    for name in set(_PRICES) & set(known.column_names):
        result = _scaled(result, name, ratio)
    return _scaled(result, "volume", 1.0 / ratio) if "volume" in known.column_names else result


def _ratio(prices: pa.Table) -> np.ndarray:
    """factor(t) / factor(last known one of the symbol), 1 where the symbol has none at all."""
    factor = prices["factor"].to_numpy(zero_copy_only=False).astype(np.float64)
    symbols = prices[SYMBOL].combine_chunks().dictionary_encode()
    codes = symbols.indices.to_numpy(zero_copy_only=False)
    order = np.lexsort((prices[SESSION].to_numpy(), codes))
    reference = np.full(len(symbols.dictionary), np.nan)
    dated = order[~np.isnan(factor[order])]
    reference[codes[dated]] = factor[dated]  # in session order, so the last assignment wins
    known = reference[codes]
    return np.where(np.isnan(known), 1.0, factor / known)


def _scaled(table: pa.Table, name: str, ratio: np.ndarray) -> pa.Table:
    values = table[name].to_numpy(zero_copy_only=False).astype(np.float64) * ratio
    return table.set_column(table.column_names.index(name), name, pa.array(values, pa.float64(), from_pandas=True))
