"""What trainings leave behind, as a resource: the model store, the runs, the ledger, the shelf."""

from functools import cached_property
from pathlib import Path

import dagster as dg

from quant_pipelines.clock import SystemClock
from quant_pipelines.journal import open_journal
from quant_pipelines.registry import ModelStore, Tracker, open_models, open_tracker
from quant_pipelines.settings import Settings
from quant_pipelines.training import Ledger, Shelf, open_shelf


class TrainingResource(dg.ConfigurableResource):
    """Below this home, or where the environment says: MLflow's address, PostgreSQL's URL, the key that signs."""

    home: str

    def models(self) -> ModelStore:
        return open_models(self._settings, clock=SystemClock())

    def tracker(self) -> Tracker:
        return open_tracker(self._settings, clock=SystemClock())

    def ledger(self, actor: str) -> Ledger:
        return Ledger(open_journal(self._settings, clock=SystemClock()), actor)

    def shelf(self) -> Shelf:
        return open_shelf(self._settings)

    @cached_property
    def _settings(self) -> Settings:
        return Settings(home=Path(self.home))
