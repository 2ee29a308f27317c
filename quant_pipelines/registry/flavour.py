"""Serving by stock MLflow: `mlflow.pyfunc.load_model` finds this module by the name that MLmodel says.

The code is that of the installed package. None lies in the artifact store, where whoever can write could change it.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.models import Inputs
from quant_pipelines.registry.manifest import Manifest
from quant_pipelines.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from quant_pipelines.models import Forecaster

MLMODEL, DATA = "MLmodel", "data"
SYMBOL = "symbol"
_UUID_DIGITS = 32


def mlmodel_of(manifest: Manifest) -> bytes:
    """MLflow's description of the version: made of the manifest alone, so that a change of it is noticed."""
    inputs = [{"type": "double", "name": name, "required": True} for name in manifest.columns]
    if manifest.length > 1:
        inputs.append({"type": "string", "name": SYMBOL, "required": True})
    function = {"loader_module": __name__, "data": DATA}
    if "python" in manifest.libraries:
        function["python_version"] = manifest.libraries["python"]
    value = {
        "flavors": {"python_function": function},
        "model_uuid": manifest.digest[:_UUID_DIGITS],
        "signature": {"inputs": json.dumps(inputs), "outputs": None, "params": None},
        "utc_time_created": f"{manifest.created_at:%Y-%m-%d %H:%M:%S.%f}",
    }
    # JSON is YAML.
    return (json.dumps(value, sort_keys=True, indent=1) + "\n").encode()


class Scoring:
    """What MLflow asks for predictions: a table of the model's columns in, one column for each output out.

    The values are scaled as in the training's snapshot. A model that sees several sessions needs the column `symbol`
    too, with the rows of each symbol in the order of their sessions; a row without enough rows before it gets NaN.
    """

    def __init__(self, manifest: Manifest, model: "Forecaster") -> None:
        self._manifest = manifest
        self._model = model

    def predict(self, data: "pd.DataFrame", params: dict[str, Any] | None = None) -> "pd.DataFrame":
        import pandas as pd

        del params
        found = np.full((len(data), self._manifest.task.outputs), np.nan, np.float32)
        order, ends = self._windows(data)
        block = np.ascontiguousarray(data[list(self._manifest.columns)].to_numpy(np.float32)[order])
        inputs = Inputs(
            block=block,
            ends=ends,
            sessions=np.zeros(ends.size, np.int64),
            columns=self._manifest.columns,
            length=self._manifest.length,
        )
        found[order[ends]] = self._model.predict(inputs)
        names = [f"output_{place}" for place in range(self._manifest.task.outputs)]
        return pd.DataFrame(found, columns=names, index=data.index)

    def _windows(self, data: "pd.DataFrame") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows symbol by symbol, and the places in that order which have enough rows before them."""
        length = self._manifest.length
        if length == 1:
            every = np.arange(len(data), dtype=np.int64)
            return every, every
        symbols = data[SYMBOL].to_numpy(str)
        order = np.argsort(symbols, kind="stable").astype(np.int64)
        ordered = symbols[order]
        ends = np.arange(length - 1, len(data), dtype=np.int64)
        return order, ends[ordered[ends] == ordered[ends - length + 1]]


def _load_pyfunc(data_path: str) -> Scoring:  # pyright: ignore[reportUnusedFunction] - MLflow calls it by name
    """Called by MLflow with the folder of the version's data. Everything is verified first, as by our own store."""
    from quant_pipelines.registry.package import read_folder, verified
    from quant_pipelines.registry.signing import open_keys

    packed = verified(read_folder(Path(data_path)), open_keys(Settings()))
    return Scoring(packed.manifest, packed.model())
