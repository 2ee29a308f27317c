"""What must hold of a stored version: it predicts as its report says."""

from dataclasses import dataclass

from quant_pipelines.models import ONE_THREAD, Forecaster, Machine
from quant_pipelines.registry import Manifest, settings_of
from quant_pipelines.snapshots import SnapshotArrays
from quant_pipelines.strategies import Training
from quant_pipelines.training.data import material_of
from quant_pipelines.training.engine import measures_of
from quant_pipelines.training.trainer import report_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A measure that the stored version does not reproduce."""

    measure: str
    reported: float
    found: float


def differences(
    manifest: Manifest, model: Forecaster, arrays: SnapshotArrays, machine: Machine = ONE_THREAD
) -> list[Difference]:
    """Measures of the report that the model, loaded again, does not give to the bit."""
    training = Training.model_validate(arrays.document.recipe.configuration["training"])
    material = material_of(arrays, settings_of(manifest), training)
    found = measures_of(model, material, machine)
    reported = report_of(manifest).final_metrics
    return [
        Difference(measure=name, reported=value, found=found.get(name, float("nan")))
        for name, value in reported.items()
        if found.get(name) != value
    ]
