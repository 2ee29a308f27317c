"""Markets to compute features on: late listings, suspensions, flat runs, spikes."""

import numpy as np
import pytest

from quant_pipelines.features.panel import BarPanel


def _symbol_bars(rng, length, suspended, flat):
    returns = rng.standard_t(4, length) * 0.015
    close = np.round(rng.uniform(2, 80) * np.exp(np.cumsum(returns)), 2).clip(0.05)
    opened = np.round(np.append(close[0], close[:-1]) * np.exp(rng.normal(0, 0.005, length)), 2).clip(0.01)
    high = np.round(np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, 0.006, length))), 2)
    low = np.round(np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, 0.006, length))), 2)
    volume = np.floor(np.exp(rng.normal(13, 0.6, length)) / 100) * 100
    bars = np.stack([opened, high, low, close, volume, (high + low + close) / 3]).astype(np.float32)
    if flat and length > 3:
        begin = int(rng.integers(length))
        end = begin + int(rng.integers(2, 90))
        bars[:, begin:end] = bars[:, begin : begin + 1]
        bars[4, rng.integers(length, size=2)] = 0
    quiet = rng.random(length) < suspended
    if suspended and length > 80 and rng.random() < 0.5:
        begin = int(rng.integers(length - 70))
        quiet[begin : begin + 66] = True
    bars[:, quiet] = np.nan
    return bars


def make_market(seed, lengths, *, suspended=0.03, flat=True):
    """A panel; a symbol of length n is listed n sessions before the end."""
    rng = np.random.default_rng(seed)
    calendar = np.arange(np.datetime64("2020-01-01"), np.datetime64("2020-01-01") + max(lengths, default=0))
    blocks = [_symbol_bars(rng, length, suspended, flat) for length in lengths]
    sessions = [calendar[len(calendar) - length :] for length in lengths]
    return BarPanel(
        np.ascontiguousarray(np.concatenate(blocks, axis=1)),
        np.append(0, np.cumsum(lengths)).astype(np.int64),
        tuple(f"S{number:04d}" for number in range(len(lengths))),
        np.concatenate(sessions).astype("datetime64[us]"),
    )


@pytest.fixture(scope="session")
def market():
    """make_market, for tests that take it as a fixture."""
    return make_market
