"""The lake as a resource: tables for reading, and writers that stop when their run is over."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from quant_pipelines.clock import SystemClock
from quant_pipelines.code import code_version
from quant_pipelines.lake import Fence, Lake, Writer
from quant_pipelines.settings import Settings
from resources.lease import held_lease
from resources.publishing import publishing


class LakeResource(dg.ConfigurableResource):
    """Where the tables live. Keys of an object store are read from their file when used, never shown here."""

    root: str
    leases: str

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator["LakeResource"]:
        if context.run is None:
            yield self
            return
        with held_lease(Path(self.leases), context.run.run_id):
            yield self

    def open(self) -> Lake:
        return Lake(self.root, clock=SystemClock(), storage_options=Settings().lake_options)

    def writer(self, context: dg.AssetExecutionContext) -> Writer:
        return Writer(
            who=context.run.tags.get("user") or context.asset_key.to_user_string(),
            run_id=context.run.run_id,
            code_version=code_version(),
        )

    def fence(self, context: dg.AssetExecutionContext) -> Fence:
        """A commit happens before the run is ended, or not at all."""
        return lambda: publishing(context.instance, context.run.run_id)
