"""The market as one line: what an equal-weight holder of every traded name would have seen."""

import numpy as np
import pyarrow as pa

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session
from quant_pipelines.prices.grid import Grid


def market_curve(prices: pa.Table) -> tuple[list[Session], np.ndarray]:
    """Sessions and the compounded mean of adjusted close-to-close returns, starting at 1."""
    sessions = sorted(set(prices[SESSION].to_pylist()))
    grid = Grid(sessions, sorted(set(prices[SYMBOL].to_pylist())))
    bars = grid.spread(prices, ("close", "factor"))
    adjusted = bars["close"] * np.where(np.isnan(bars["factor"]), 1.0, bars["factor"])
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = adjusted[1:] / adjusted[:-1] - 1.0
    traded = np.isfinite(returns)
    totals = np.where(traded, returns, 0.0).sum(axis=1)
    counts = traded.sum(axis=1)
    mean = np.divide(totals, counts, out=np.zeros(len(totals)), where=counts > 0)
    return sessions, np.concatenate([np.ones(min(1, len(sessions))), np.cumprod(1.0 + mean)])
