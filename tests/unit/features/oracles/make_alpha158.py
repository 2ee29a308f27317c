"""Makes alpha158_pandas_2_2_3.parquet: what pyqlib says where pandas is the one that pyqlib was written for.

    python -m venv /tmp/oracle && /tmp/oracle/bin/pip install pyqlib==0.9.7 pandas==2.2.3 pyarrow
    python tests/unit/features/oracles/make_alpha158.py bars /tmp/oracle-bars
    /tmp/oracle/bin/python tests/unit/features/oracles/make_alpha158.py factors /tmp/oracle-bars

The first step needs this project, the second one only pyqlib: the two cannot live in one environment.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

TARGET = Path(__file__).with_name("alpha158_pandas_2_2_3.parquet")
LENGTHS = [130, 130, 110, 90, 61, 20, 1]
FIELDS = ["open", "high", "low", "close", "volume", "vwap"]


def write_bars(folder: Path) -> None:
    """A made-up panel with suspensions, late listings and flat stretches, as a provider folder."""
    from quant_pipelines.qlib_bridge.provider import write_provider
    from tests.unit.features.conftest import make_market

    write_provider(folder, make_market(2231, LENGTHS, suspended=0.04))


def write_factors(folder: Path) -> None:
    """Bars and factors in one file, so that the comparison needs no generator."""
    import qlib
    from qlib.contrib.data.loader import Alpha158DL
    from qlib.data import D

    qlib.init(provider_uri=str(folder), kernels=1, joblib_backend="threading", logging_level=40)
    fields, names = Alpha158DL.get_feature_config()
    symbols = (folder / "instruments" / "all.txt").read_text().split()[::3]
    frame = D.features(symbols, [*(f"${name}" for name in FIELDS), *fields], freq="day")
    frame.columns = [*FIELDS, *names]
    frame = frame.astype(np.float32).replace([np.inf, -np.inf], np.nan).reset_index()
    assert pd.__version__ == "2.2.3", pd.__version__
    frame.to_parquet(TARGET, compression="zstd", index=False)


if __name__ == "__main__":
    {"bars": write_bars, "factors": write_factors}[sys.argv[1]](Path(sys.argv[2]))
