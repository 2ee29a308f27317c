"""What must hold of snapshots: two in a row see the world alike, and serving is given what training was given."""

import random
from collections.abc import Iterable, Mapping, Sequence

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG

from assets.features import registry_of
from assets.keys import SNAPSHOT, key_of
from assets.metadata import records
from assets.reactions import reacting
from assets.snapshots import LABEL_SPANS, coordinates
from quant_pipelines.calendars import session_key
from quant_pipelines.clock import SystemClock
from quant_pipelines.code import code_version
from quant_pipelines.digest import digest_json
from quant_pipelines.lineage import TargetConsistency, check_feature_lineage_consistency
from quant_pipelines.markets import Market
from quant_pipelines.snapshots import Document, Maker, SnapshotBuilder
from quant_pipelines.snapshots.parity import Disparity, disparities
from quant_pipelines.snapshots.tracing import facts_of
from quant_pipelines.strategies import Strategy
from resources.lake import LakeResource
from resources.machine import MachineResource
from resources.snapshots import SnapshotsResource

CONSISTENCY, PARITY = "lineage_consistency", "training_serving_parity"
_SERVED_AGAIN = 3
_EXAMPLES = 5
_SEED_DIGITS = 8


class ConsistencyConfig(dg.Config):
    """How closely the two latest snapshots of a strategy must agree."""

    strict: bool = False


def snapshot_checks(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.AssetChecksDefinition]:
    """One suite for each market that has strategies."""
    if not strategies:
        return []
    asset = key_of(market, SNAPSHOT)

    @dg.multi_asset_check(
        name=f"{market.name}_snapshot_suite",
        specs=[
            dg.AssetCheckSpec(
                CONSISTENCY,
                asset=asset,
                description="The two latest snapshots of a strategy have the same columns, definitions and "
                "configuration; strict: the same everything.",
            ),
            dg.AssetCheckSpec(
                PARITY,
                asset=asset,
                blocking=True,
                description="Sessions of the window, served again, are bit for bit what training was given.",
            ),
        ],
        description=f"Rules of {market.name}'s snapshots.",
    )
    def suite(
        context: dg.AssetCheckExecutionContext,
        config: ConsistencyConfig,
        lake: LakeResource,
        snapshots: SnapshotsResource,
        machine: MachineResource,
    ) -> Iterable[dg.AssetCheckResult]:
        with reacting(context):
            builder = SnapshotBuilder(
                market=market,
                registry=registry_of(market),
                lake=lake.open(),
                store=snapshots.open(),
                label_spans=LABEL_SPANS,
                maker=Maker(asset.to_user_string(), code_version(), context.run.run_id),
                clock=SystemClock(),
                threads=machine.threads,
            )
            trainings = [
                each
                for each in builder.store.documents()
                if each.recipe.purpose == "train" and each.recipe.strategy in _strategies(context, strategies)
            ]
            seed = int(digest_json(context.run.run_id)[:_SEED_DIGITS], 16)
            found = check_feature_lineage_consistency([facts_of(each) for each in trainings], strict=config.strict)
            unequal = {each.id: _served(builder, each, seed) for each in _checked(context, trainings)}
        yield _consistency(asset, found, config.strict)
        yield _parity(asset, unequal, seed)

    return [suite]


def _strategies(context: dg.AssetCheckExecutionContext, strategies: Mapping[str, Strategy]) -> set[str]:
    """The run's strategy; all of them where a person runs the checks alone."""
    partition = context.run.tags.get(PARTITION_NAME_TAG)
    return {coordinates(partition)[1]} if partition else set(strategies)


def _checked(context: dg.AssetCheckExecutionContext, trainings: Sequence[Document]) -> Sequence[Document]:
    """The run's snapshot, which is the newest of its partition; else the newest of each strategy."""
    partition = context.run.tags.get(PARTITION_NAME_TAG)
    cutoff = coordinates(partition)[0] if partition else None
    newest = {each.recipe.strategy: each for each in trainings if cutoff in (None, each.recipe.cutoff)}
    return list(newest.values())


def _served(builder: SnapshotBuilder, document: Document, seed: int) -> list[Disparity]:
    window = [each for each in document.recipe.axis if each >= document.recipe.window_first]
    chosen = random.Random(seed).sample(window, min(_SERVED_AGAIN, len(window)))  # noqa: S311  no secret
    return disparities(builder, document, sorted({*chosen, window[-1]}))


def _consistency(asset: dg.AssetKey, found: Mapping[str, TargetConsistency], strict: bool) -> dg.AssetCheckResult:
    rows = [
        {
            "target": each.target,
            "compared": ", ".join(snapshot[:16] for snapshot in each.snapshots) if each.compared else "only one so far",
            "mismatch_keys": ", ".join(each.mismatch_keys) or "none",
            "tolerated": ", ".join(difference.key for difference in each.tolerated) or "none",
        }
        for each in found.values()
    ]
    broken = [each for each in found.values() if not each.consistent]
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=CONSISTENCY,
        passed=not broken,
        severity=dg.AssetCheckSeverity.ERROR if strict else dg.AssetCheckSeverity.WARN,
        description="Held." if not broken else f"{len(broken)} strategies changed what they see: retrain them.",
        metadata={"strict": strict, "targets": records(rows)},
    )


def _parity(asset: dg.AssetKey, unequal: Mapping[str, list[Disparity]], seed: int) -> dg.AssetCheckResult:
    found = [each for each in unequal.values() if each]
    examples = [
        {"snapshot": snapshot[:16], "session": session_key(each.session), "symbol": each.symbol, "reason": each.reason}
        for snapshot, several in unequal.items()
        for each in several[:_EXAMPLES]
    ]
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=PARITY,
        passed=not found,
        description="Held." if not found else f"{len(examples)} rows differ between training and serving.",
        metadata={"seed": seed, "snapshots": len(unequal), **({"examples": records(examples)} if examples else {})},
    )
