"""The indicators against direct calls of TA-Lib on the same symbols in one run.

    python benchmarks/bench_indicators.py [--symbols 400] [--sessions 2000]

The direct calls get every symbol ready made, contiguous and without missing sessions, and keep their results; ours
fills memory that it was given. Volume-weighted price and volatility, which TA-Lib lacks, are numpy there.
"""

import argparse
from itertools import pairwise

import numpy as np
import talib
from synthetic_market import make_market, measure, verdict

from quant_pipelines.features.indicators.catalogue import BAND_WIDTH, SAR_LARGEST, SAR_STEP
from quant_pipelines.features.indicators.engine import IndicatorSettings, compute
from quant_pipelines.features.panel import BarPanel


def ready_made(panel: BarPanel) -> list[np.ndarray]:
    blocks = [panel.values[:, begin:end].astype(np.float64) for begin, end in pairwise(panel.offsets.tolist())]
    return [np.ascontiguousarray(block[:, ~np.isnan(block).any(axis=0)]) for block in blocks]


def direct(symbols: list[np.ndarray]) -> list[object]:
    return [
        (
            *(talib.SMA(close, window) for window in (5, 10, 20, 60)),
            *(talib.EMA(close, window) for window in (12, 26)),
            talib.MACD(close, 12, 26, 9),
            talib.BBANDS(close, 20, BAND_WIDTH, BAND_WIDTH),
            talib.SAR(high, low, SAR_STEP, SAR_LARGEST),
            talib.ADX(high, low, close, 14),
            talib.RSI(close, 14),
            talib.STOCH(high, low, close, 14, 3, 0, 3, 0),
            talib.WILLR(high, low, close, 14),
            talib.CCI(high, low, close, 14),
            talib.CCI(high, low, close, 20),
            talib.ROC(close, 10),
            talib.SUM(vwap * volume, 20) / talib.SUM(volume, 20),
            talib.OBV(close, volume),
            talib.AD(high, low, close, volume),
            talib.MFI(high, low, close, volume, 14),
            talib.ATR(high, low, close, 14),
            talib.STDDEV(np.diff(np.log(close)), 20) * np.sqrt(252),
        )
        for _open, high, low, close, volume, vwap in symbols
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=400)
    parser.add_argument("--sessions", type=int, default=2000)
    chosen = parser.parse_args()
    panel = make_market(chosen.symbols, chosen.sessions)
    settings = IndicatorSettings(sessions_per_year=252)
    symbols = ready_made(panel)
    out = compute(panel, settings)
    direct(symbols)
    _wall, ours = measure(lambda: compute(panel, settings, out=out), rounds=7)
    _wall, theirs = measure(lambda: direct(symbols), rounds=7)
    per_row = [each / panel.rows * 1e9 for each in (ours, theirs)]
    print(f"{len(out)} columns: ours {per_row[0]:.0f}, direct {per_row[1]:.0f} ns a row")
    verdict("times direct TA-Lib calls", ours / theirs, 1.3, at_least=False)


if __name__ == "__main__":
    main()
