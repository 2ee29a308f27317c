"""Every process that Dagster starts loads the definitions: what they import, every step waits for."""

import subprocess
import sys
from pathlib import Path

# A trivial run took 9 s without them and 64 s with them. pandas comes with the exchanges' calendars.
HEAVY = (
    "great_expectations",
    "lightgbm",
    "mlflow",
    "optuna",
    "qlib",
    "safetensors",
    "shap",
    "sklearn",
    "torch",
    "xgboost",
)
_LOADED = f"""
import sys
import definitions, quant_pipelines.models, quant_pipelines.training
print(",".join(name for name in {HEAVY!r} if name in sys.modules))
"""


def test_definitions_models_and_training_import_no_heavy_library():
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _LOADED], cwd=root, check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1:] == [""]
