"""Stock MLflow serves a version as our own code does, verified by it, without a pickle."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from quant_pipelines.models import Inputs, Task
from quant_pipelines.registry import open_keys, pack
from quant_pipelines.registry.flavour import SYMBOL, Scoring
from quant_pipelines.settings import Settings
from tests.installation import PROJECT
from tests.learnable import COLUMNS, halves, planted
from tests.stored import Kept, fitted, manifest, packed

_, ROWS = halves(planted(Task()))
_FRESH = """
import json, sys
import mlflow.pyfunc, pandas as pd
from quant_pipelines.errors import QuantPipelinesError
rows = pd.read_csv(sys.argv[3], dtype="float64", float_precision="round_trip")
values = mlflow.pyfunc.load_model(sys.argv[1]).predict(rows)["output_0"].tolist()
try:
    refused = None
    mlflow.pyfunc.load_model(sys.argv[2])
except QuantPipelinesError as error:
    refused = type(error).__name__
print(json.dumps([values, refused]))
"""


def test_stock_mlflow_predicts_the_same_and_refuses_what_was_changed(kept_in_file, tmp_path):
    """In a process of its own, which may load no pickle at all."""
    kept = Kept(kept_in_file.place, keys=open_keys(Settings(project=PROJECT, home=tmp_path)))
    kept.models.save(packed("lightgbm"), kept.run(), actor="a test")
    (folder,) = (path.parent for path in kept.files("MLmodel"))
    changed = tmp_path / "changed"
    shutil.copytree(folder, changed)
    booster = changed / "data" / "booster.txt"
    booster.write_text(booster.read_text().replace("leaf_value=", "leaf_value=9", 1))
    rows = pd.DataFrame(ROWS.inputs.panel()[:50], columns=list(COLUMNS))
    rows.to_csv(tmp_path / "rows.csv", index=False)

    environment = {
        **os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "PYTHONPATH": str(PROJECT),
        "QP_PROJECT": str(PROJECT), "QP_HOME": str(tmp_path),
    }  # fmt: skip
    command = [sys.executable, "-c", _FRESH, str(folder), str(changed), str(tmp_path / "rows.csv")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    values, refused = json.loads(done.stdout)
    ours = packed("lightgbm").model().predict(ROWS.inputs.rows(slice(0, 50)))[:, 0]
    np.testing.assert_array_equal(np.array(values, np.float32), ours)
    assert refused == "HashMismatch"


class Sum:
    """A model that sees several sessions: the sum of all it sees."""

    def predict(self, inputs: Inputs):
        return inputs.sequences().sum(axis=(1, 2), dtype=np.float32)[:, None]


def test_a_model_that_sees_several_sessions_finds_them_by_symbol():
    told = pack(manifest(columns=("x",), length=3, feature_versions={}), fitted("linear")).manifest
    table = pd.DataFrame({SYMBOL: list("ABABABAB"), "x": [1, 10, 2, 20, 3, 30, 4, 40]}, index=range(100, 108))
    found = Scoring(told, Sum()).predict(table)
    assert list(found.index) == list(table.index)
    np.testing.assert_array_equal(found["output_0"], np.array([np.nan] * 4 + [6, 60, 9, 90], np.float32))


@pytest.mark.parametrize("length", [1, 3])
def test_no_rows_give_no_predictions(length):
    told = manifest(columns=("x",), length=length)
    empty = pd.DataFrame({"x": np.empty(0), SYMBOL: np.empty(0, str)})
    assert Scoring(told, Sum()).predict(empty).shape == (0, 1)
