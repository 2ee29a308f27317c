"""Every process that Dagster starts loads the definitions: what they import, every step waits for."""

import subprocess
import sys
from pathlib import Path

# A trivial run took 9 s without them and 64 s with them. pandas comes with the exchanges' calendars.
HEAVY = (
    "fastapi",
    "great_expectations",
    "lightgbm",
    "mlflow",
    "optuna",
    "qlib",
    "safetensors",
    "shap",
    "sklearn",
    "torch",
    "uvicorn",
    "xgboost",
)
_LOADED = f"""
import sys
import definitions, quant_pipelines.models, quant_pipelines.training
print(",".join(name for name in {HEAVY!r} if name in sys.modules))
"""

# Alembic's own script is run by Alembic, with a database at hand.
_EVERY_MODULE = """
import importlib, pkgutil
roots = ("assets", "quant_pipelines", "resources", "sensors")
names = [each.name for root in roots for each in pkgutil.walk_packages([root], f"{root}.")]
assert {name.partition(".")[0] for name in names} == set(roots)
for name in names:
    if not name.endswith(".migrations.env"):
        importlib.import_module(name)
"""


def python(program: str) -> str:
    """What it prints, run by a process of its own in the project's folder."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_can_be_imported():
    """S0-04, S0-06: also those that are loaded in one corner only."""
    python(_EVERY_MODULE)


def test_definitions_models_and_training_import_no_heavy_library():
    assert python(_LOADED).splitlines()[-1:] == [""]
