"""What must hold of a trained version before anybody judges it: intact, fitting, and as good as its report says."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from assets.keys import MODEL, key_of
from assets.metadata import records
from assets.models import newest_of
from assets.reactions import reacting
from quant_pipelines.markets import Market
from quant_pipelines.models import Machine
from quant_pipelines.registry import ModelStore
from quant_pipelines.serving import misfits, stored_model
from quant_pipelines.snapshots import SnapshotStore, load
from quant_pipelines.strategies import Strategy
from quant_pipelines.training import differences
from resources.machine import MachineResource
from resources.models import ModelStoreResource
from resources.snapshots import SnapshotsResource

COMPATIBLE, REPRODUCED = "model_compatibility", "report_reproduced"


def model_checks(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.AssetChecksDefinition]:
    """One suite for each market that has strategies."""
    if not strategies:
        return []
    asset = key_of(market, MODEL)

    @dg.multi_asset_check(
        name=f"{market.name}_model_suite",
        specs=[
            dg.AssetCheckSpec(
                COMPATIBLE,
                asset=asset,
                blocking=True,
                description="The stored version is what was signed, and reads what its snapshot holds (S2-52).",
            ),
            dg.AssetCheckSpec(
                REPRODUCED,
                asset=asset,
                blocking=True,
                description="Loaded again, the version gives every measure of its report to the bit.",
            ),
        ],
        description=f"Rules of {market.name}'s models.",
    )
    def suite(
        context: dg.AssetCheckExecutionContext,
        snapshots: SnapshotsResource,
        machine: MachineResource,
        models: ModelStoreResource,
    ) -> Iterable[dg.AssetCheckResult]:
        with reacting(context):
            store, kept = snapshots.open(), models.open()
            told = [_judged(store, kept, name, Machine(threads=machine.threads)) for name in newest_of(context, asset)]
        yield _result(COMPATIBLE, asset, [row for compatible, _ in told for row in compatible], len(told))
        yield _result(REPRODUCED, asset, [row for _, reproduced in told for row in reproduced], len(told))

    return [suite]


def _judged(
    store: SnapshotStore, models: ModelStore, name: str, machine: Machine
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What is wrong with one version, as rows: of its schema, and of its measures."""
    model_name, number = name.rsplit("/", 1)
    manifest, model = stored_model(models, model_name, int(number))
    document = store.document(manifest.snapshot_id)
    schema: list[dict[str, Any]] = [{"model": name, "problem": text} for text in misfits(manifest, document)]
    if schema:
        return schema, []
    found = differences(manifest, model, load(store, document), machine)
    return [], [
        {"model": name, "measure": each.measure, "reported": each.reported, "found": each.found} for each in found
    ]


def _result(name: str, asset: dg.AssetKey, problems: Sequence[Mapping[str, Any]], versions: int) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=not problems,
        description=f"{len(problems)} problems in {versions} versions.",
        metadata={"versions": versions, "problems": records(list(problems))},
    )
