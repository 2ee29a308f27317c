"""The installation's store and tracker. MLflow, which takes seconds to import, is imported when they are opened."""

from quant_pipelines.clock import Clock
from quant_pipelines.registry.signing import open_keys
from quant_pipelines.registry.tracker import Tracker
from quant_pipelines.registry.versions import ModelStore
from quant_pipelines.settings import Settings, hush


def open_models(settings: Settings, *, clock: Clock) -> ModelStore:
    """Where trained models are kept."""
    hush()
    from quant_pipelines.registry.mlflow.place import place_of
    from quant_pipelines.registry.mlflow.store import MlflowModels

    return MlflowModels(place_of(settings), open_keys(settings), clock=clock)


def open_tracker(settings: Settings, *, clock: Clock) -> Tracker:
    """Where runs are watched."""
    hush()
    from quant_pipelines.registry.mlflow.place import place_of
    from quant_pipelines.registry.mlflow.tracker import MlflowRuns

    return MlflowRuns(place_of(settings), clock=clock)
