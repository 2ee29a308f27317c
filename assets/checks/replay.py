"""Whether a stored version comes out again: the training of a past run, done once more."""

from collections.abc import Mapping, Sequence

import dagster as dg

from assets.keys import MODEL, key_of
from assets.metadata import records
from assets.reactions import reacting
from quant_pipelines.clock import SystemClock
from quant_pipelines.code import code_version
from quant_pipelines.markets import Market
from quant_pipelines.models import Machine
from quant_pipelines.reproduction import Replay, Retrainer, record_replay, replay, version_of_run
from quant_pipelines.strategies import Strategy
from quant_pipelines.training import Listener, Progress, surroundings
from resources.journal import JournalResource
from resources.machine import MachineResource
from resources.models import ModelStoreResource
from resources.snapshots import SnapshotsResource

REPLAY_CONSISTENCY = "replay_consistency"
RUN, TOLERANCE = "backtest_run_id", "tolerance"
NOT_REPLAYED = "not_replayed"
_CONFIG = {
    RUN: dg.Field(
        str,
        is_required=False,
        description="Which run to replay: its id in MLflow, or its training; without it the newest of the market.",
    ),
    TOLERANCE: dg.Field(
        float,
        is_required=False,
        description="By which share of itself a number may differ. Without it 0 where code, libraries and processor "
        "are those that were recorded, else 1e-6.",
    ),
}


def replay_key(market: Market) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(key_of(market, MODEL), REPLAY_CONSISTENCY)


def replay_checks(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.AssetChecksDefinition]:
    """One for each market that has strategies."""
    if not strategies:
        return []
    asset = key_of(market, MODEL)

    @dg.asset_check(
        asset=asset,
        name=REPLAY_CONSISTENCY,
        description="A stored version, trained again from its own manifest, gives its measures and its forecasts "
        "again. Goes on record, whatever comes out (S1-30, S1-31).",
        config_schema=_CONFIG,
        pool="training",
    )
    def check(
        context: dg.AssetCheckExecutionContext,
        snapshots: SnapshotsResource,
        machine: MachineResource,
        models: ModelStoreResource,
        journal: JournalResource,
    ) -> dg.AssetCheckResult:
        if asset in context.job_def.asset_layer.selected_asset_keys:
            return _not_replayed(market)
        with reacting(context):
            config, store = context.op_execution_context.op_config, models.open()
            retrainer = Retrainer(
                snapshots=snapshots.open(),
                here=surroundings(code_version()),
                clock=SystemClock(),
                listener=_told_to(context),
                machine=Machine(threads=machine.threads),
                tolerance=config.get(TOLERANCE),
            )
            version = version_of_run(store, market.name, config.get(RUN))
            found = replay(store, retrainer, version)
            who = context.run.tags.get("user") or f"{asset.to_user_string()}:{REPLAY_CONSISTENCY}"
            row = record_replay(journal.open(), found, actor=who)
        return _result(found, version.run_id, row.sequence)

    return [check]


def _not_replayed(market: Market) -> dg.AssetCheckResult:
    """In a run that trains: nothing is trained twice in one run."""
    return dg.AssetCheckResult(
        passed=True,
        description=f"Not replayed: this run has just trained it. Launch replay_{market.name} to train it again.",
        metadata={"outcome": NOT_REPLAYED},
    )


def _told_to(context: dg.AssetCheckExecutionContext) -> Listener:
    def listener(progress: Progress) -> None:
        if progress.step is None:
            context.log.info("%.0f %% %s: %s", progress.percent, progress.stage, progress.message)

    return listener


def _result(found: Replay, run_id: str, row: int) -> dg.AssetCheckResult:
    failed = [each.name for each in found.checks if each.outcome == "different"]
    told = "comes out again" if not failed else f"does not come out again: {', '.join(failed)} differ"
    return dg.AssetCheckResult(
        passed=found.outcome == "same",
        description=f"{found.version} {told}. Tolerance {found.tolerance:g}.",
        metadata={
            "outcome": found.outcome,
            "version": found.version,
            "version_id": found.version_id,
            RUN: run_id,
            "training_id": found.training_id,
            "train_lineage_id": found.snapshot_id,
            TOLERANCE: found.tolerance,
            "journal_row": row,
            "not_as_it_was": "; ".join(found.differences) or "nothing",
            "compared": records(
                [
                    {"what": each.name, "recorded": each.recorded, "found": each.found, "result": each.outcome}
                    for each in found.checks
                ]
            ),
        },
    )
