"""The model store and the tracker as resources."""

from pathlib import Path

import dagster as dg

from quant_pipelines.clock import SystemClock
from quant_pipelines.registry import ModelStore, Tracker, open_models, open_tracker
from quant_pipelines.settings import Settings

# Which run of Dagster's a run of the tracker belongs to.
RUN_TAG = "dagster_run"


class ModelStoreResource(dg.ConfigurableResource):
    """Where trained models are kept. The signing key and MLflow's URL are read when used and never shown."""

    home: str

    def open(self) -> ModelStore:
        return open_models(Settings(home=Path(self.home)), clock=SystemClock())


class TrackerResource(dg.ConfigurableResource):
    """Where trainings are watched while they run."""

    home: str

    def open(self) -> Tracker:
        return open_tracker(Settings(home=Path(self.home)), clock=SystemClock())
