"""What trainings leave behind, as a resource: the ledger, searches, and the shelf of those that are not stored yet."""

from pathlib import Path

import dagster as dg

from quant_pipelines.clock import SystemClock
from quant_pipelines.journal import open_journal
from quant_pipelines.settings import Settings
from quant_pipelines.training import Ledger, Searcher, Shelf, open_searcher, open_shelf


class TrainingResource(dg.ConfigurableResource):
    """Below this home, but for the journal where PostgreSQL's URL is set."""

    home: str

    def ledger(self, actor: str) -> Ledger:
        return Ledger(open_journal(Settings(home=Path(self.home)), clock=SystemClock()), actor)

    def shelf(self) -> Shelf:
        return open_shelf(Settings(home=Path(self.home)))

    def searcher(self, actor: str) -> Searcher:
        return open_searcher(Settings(home=Path(self.home)), self.ledger(actor))
