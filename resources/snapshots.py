"""The snapshots as a resource."""

from pathlib import Path

import dagster as dg

from quant_pipelines.settings import Settings
from quant_pipelines.snapshots import SnapshotStore, open_snapshots


class SnapshotsResource(dg.ConfigurableResource):
    """Where documents and arrays lie: below this home, and in the lake's object store where it has one."""

    home: str

    def open(self) -> SnapshotStore:
        return open_snapshots(Settings(home=Path(self.home)))
