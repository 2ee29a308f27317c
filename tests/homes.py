"""A home with a real model store, tracker, journal and shelf, and trainers over it."""

import shutil
from functools import cached_property
from pathlib import Path

from quant_pipelines.journal import FileAnchor, Journal, sqlite_url
from quant_pipelines.registry import open_models, open_tracker
from quant_pipelines.settings import Settings
from quant_pipelines.training import Ledger, Shelf, Trainer
from tests.unit.snapshots.conftest import CLOCK


class Home:
    """`empty` is a file with MLflow's tables, to be copied: making them takes seconds. Without it, the home has one."""

    def __init__(self, folder: Path, empty: Path | None = None) -> None:
        self.folder = folder
        if empty is not None:
            folder.mkdir(exist_ok=True)
            shutil.copyfile(empty, folder / "mlflow.db")
        self.settings = Settings(home=folder)
        self.models = open_models(self.settings, clock=CLOCK)
        self.journal = Journal(sqlite_url(folder / "journal.db"), FileAnchor(folder / "journal.anchor"), clock=CLOCK)
        self.ledger, self.shelf = Ledger(self.journal, "test"), Shelf(folder / "trainings")

    def trainer(self, **changes) -> Trainer:
        values = {
            "models": self.models, "tracker": open_tracker(self.settings, clock=CLOCK), "ledger": self.ledger,
            "shelf": self.shelf, "clock": CLOCK, "actor": "test", "listener": lambda _: None,
        }  # fmt: skip
        return Trainer(**(values | changes))

    @cached_property
    def client(self):
        """MLflow's own."""
        from mlflow import MlflowClient

        uri = f"sqlite:///{self.folder / 'mlflow.db'}"
        return MlflowClient(tracking_uri=uri, registry_uri=uri)

    def runs(self):
        """MLflow's client, and the runs of the tiny market."""
        found = self.client.get_experiment_by_name("tiny")
        return self.client, self.client.search_runs([found.experiment_id])
