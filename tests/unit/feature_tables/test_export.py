"""What is exported for pyqlib is what pyqlib reads."""

import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from quant_pipelines.feature_tables.export import ExportRefused, export_provider
from quant_pipelines.features.custom import custom_set, expression
from quant_pipelines.features.standard import alpha158_set
from quant_pipelines.lake import Window
from quant_pipelines.lake.tables import PRICES

SINCE = datetime(2026, 1, 2, tzinfo=UTC)
READER = """
import sys, qlib
from qlib.data import D
qlib.init(provider_uri=sys.argv[1], kernels=1, logging_level=40)
symbols = D.list_instruments(D.instruments("all"), as_list=True)
fields = ["$close", "$factor", "$KMID", "$ROC20", "$close / $factor"]
D.features(symbols, fields).to_parquet(sys.argv[2])
"""


def test_pyqlib_reads_adjusted_prices_factors_and_features(scene, tmp_path):
    """S2-99: both ways without loss; what traded at which price is `$close / $factor`, as pyqlib has it."""
    scene.arrive()
    features = alpha158_set()
    scene.publish(features)
    done = export_provider(scene.lake, scene.market, tmp_path / "qlib", ["alpha158"], scene.all)
    prices = scene.lake.table("tiny", PRICES).read().to_pandas().set_index(["symbol", "session"])
    table = scene.publisher(features).table.read().to_pandas().set_index(["symbol", "session"])
    assert (done.symbols, done.fields) == (prices.index.get_level_values(0).nunique(), 158)

    script = [sys.executable, "-c", READER, str(tmp_path / "qlib"), str(tmp_path / "read.parquet")]
    subprocess.run(script, check=True, capture_output=True)
    read = pd.read_parquet(tmp_path / "read.parquet")
    read.index = read.index.set_names(["symbol", "session"])
    read = read.reindex(prices.index)
    np.testing.assert_array_equal(read[["$KMID", "$ROC20"]].to_numpy(), table[["KMID", "ROC20"]].to_numpy())
    np.testing.assert_allclose(read["$close"], prices["close"] * prices["factor"], rtol=1e-6)
    np.testing.assert_allclose(read["$close / $factor"], prices["close"], rtol=1e-6)


def test_what_cannot_be_exported_says_what_to_do(scene, tmp_path):
    with pytest.raises(ExportRefused, match="has no prices in that span"):
        export_provider(scene.lake, scene.market, tmp_path / "qlib", [], scene.all)
    scene.arrive()
    with pytest.raises(ExportRefused, match="no feature table 'alpha158'"):
        export_provider(scene.lake, scene.market, tmp_path / "qlib", ["alpha158"], scene.all)
    with pytest.raises(ExportRefused, match="no feature table 'prices'"):
        export_provider(scene.lake, scene.market, tmp_path / "qlib", ["prices"], scene.all)
    features = custom_set(expression("body", "$close / $open - 1", "The session's own move.", SINCE))
    scene.publish(features, 0, 99)
    name = scene.publisher(features).table.schema.name
    with pytest.raises(ExportRefused, match="Materialise it over the same sessions"):
        export_provider(scene.lake, scene.market, tmp_path / "qlib", [name], scene.all)
    window = Window(scene.sessions[0], scene.sessions[99])
    assert export_provider(scene.lake, scene.market, tmp_path / "qlib", [name], window).fields == 1
    with pytest.raises(ExportRefused, match="is not empty"):
        export_provider(scene.lake, scene.market, tmp_path / "qlib", [name], window)
