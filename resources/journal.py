"""The journal as a resource."""

from pathlib import Path

import dagster as dg

from quant_pipelines.clock import SystemClock
from quant_pipelines.journal import Journal, open_journal
from quant_pipelines.settings import Settings


class JournalResource(dg.ConfigurableResource):
    """Below this home, or in PostgreSQL, whose URL is read when used and never shown."""

    home: str

    def open(self) -> Journal:
        return open_journal(Settings(home=Path(self.home)), clock=SystemClock())
