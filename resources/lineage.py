"""Lineage as a resource: where assets put on record what they made their tables from."""

from pathlib import Path

import dagster as dg

from quant_pipelines.clock import SystemClock
from quant_pipelines.lineage import Lineage, open_lineage
from quant_pipelines.settings import Settings


class LineageResource(dg.ConfigurableResource):
    """The journal's database: a file below this home, or PostgreSQL, whose URL is read when used and never shown."""

    home: str

    def open(self) -> Lineage:
        return open_lineage(Settings(home=Path(self.home)), clock=SystemClock())
