"""search of one market: which hyper-parameters each strategy's snapshot speaks for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import dagster as dg

from assets.keys import SEARCH, SNAPSHOT, TRAINING, key_of
from assets.launchpad import DEVICE, SEED, device_field, machine_of
from assets.metadata import records, short
from assets.models import snapshot_of
from assets.reactions import reacting
from assets.recording import Input, record_partition, recorded
from assets.snapshots import coordinates, snapshot_partitions
from assets.stopping import stop_of
from assets.upstream import newest
from quant_pipelines.code import code_version
from quant_pipelines.digest import digest_json
from quant_pipelines.errors import DependencyFailed
from quant_pipelines.markets import Market
from quant_pipelines.models import NotLearnable
from quant_pipelines.snapshots import Document, load
from quant_pipelines.strategies import Strategy
from quant_pipelines.training import (
    BadSearch,
    NothingFound,
    Search,
    SearchListener,
    SearchProgress,
    SearchResult,
    TrackedTrials,
    order_for,
)
from quant_pipelines.training.search_result import as_table
from quant_pipelines.training.search_settings import Scheme
from resources.lake import LakeResource
from resources.machine import MachineResource
from resources.models import RUN_TAG, TrackerResource
from resources.snapshots import SnapshotsResource
from resources.training import TrainingResource

_FORMAT = "1"
BEST_PARAMETERS, SETTINGS, WHY = "best_parameters", "settings", "why"
OVERFITTING, OVERFITTING_PROBABILITY = "overfitting", "overfitting_probability"
_NOTHING_TO_CHOOSE = (BadSearch, NotLearnable, NothingFound)
TRIALS, SECONDS, OR_OWN, _FOLDS = "trials", "seconds", "or_own", "folds"
_SCHEME, _TOGETHER = "scheme", "tested_together"
_CONFIG = {
    TRIALS: dg.Field(int, default_value=20, description="Most settings that are tried; the first are the strategy's."),
    SECONDS: dg.Field(float, default_value=3600.0, description="Longest time; the trial under way is cut then."),
    _FOLDS: dg.Field(int, default_value=3, description="Stretches of sessions that each setting is judged on."),
    _SCHEME: dg.Field(
        dg.Enum("search_scheme", [dg.EnumValue(each) for each in get_args(Scheme)]),
        default_value="walk_forward",
        description="What each stretch is judged by: walk_forward learns from what came before, purged_k_fold from all "
        "others, combinatorial tests several at once, in every choice of them.",
    ),
    _TOGETHER: dg.Field(
        int,
        default_value=2,
        description="How many stretches combinatorial tests at once: 2 of 5 are 10 trainings for each trial, and 4 "
        "paths over which the luck of the choice is told.",
    ),
    OR_OWN: dg.Field(
        bool,
        default_value=False,
        description="Where no trial comes to its end, or nothing can be searched, leave the strategy's own settings "
        "and say why, instead of failing: for runs that train afterwards.",
    ),
    SEED: dg.Field(int, default_value=0, description="Seed of everything that is drawn."),
    DEVICE: device_field(),
}


def search_assets(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.AssetsDefinition]:
    """One asset for each market that has strategies."""
    if not strategies:
        return []
    upstream = key_of(market, SNAPSHOT)

    @dg.asset(
        key=key_of(market, SEARCH),
        deps=[upstream],
        group_name=TRAINING,
        description="Hyper-parameters tried on purged folds of a snapshot without its holdout; each trial is recorded. "
        f"Train with `from_search: true` to use the best ones.\n\n{market.description}",
        partitions_def=snapshot_partitions(market, strategies),
        config_schema=_CONFIG,
        code_version=_FORMAT,
        owners=[market.owner],
        kinds={"mlflow"},
        tags={"market": market.name},
        pool="training",
    )
    def search(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        snapshots: SnapshotsResource,
        machine: MachineResource,
        tracker: TrackerResource,
        training: TrainingResource,
    ) -> dg.MaterializeResult:
        with reacting(context):
            store, config, stop = snapshots.open(), context.op_execution_context.op_config, stop_of(context)
            asked = Search(
                trials=config[TRIALS],
                seconds=config[SECONDS],
                folds=config[_FOLDS],
                scheme=config[_SCHEME],
                tested_together=config[_TOGETHER],
                seed=config[SEED],
            )
            for partition in context.partition_keys:
                cutoff, name = coordinates(partition)
                document, event = snapshot_of(context, upstream, store, partition)
                order = order_for(
                    strategies[name],
                    document,
                    code_version=code_version(),
                    seed=config[SEED],
                    machine=machine_of(config, machine.threads),
                )
                trials = TrackedTrials(tracker.open(), order, tags={RUN_TAG: context.run.run_id})
                searcher = replace(
                    training.searcher(lake.writer(context).who), listener=_told_to(context), log=trials, stop=stop
                )
                try:
                    found = searcher.search(order, load(store, document), asked)
                    trials.ended(found)
                    version = digest_json([found.study, found.best_parameters, len(found.trials)])
                    facts = _metadata(found)
                except BaseException as error:
                    _break_off(trials, error)
                    if not config[OR_OWN] or not isinstance(error, _NOTHING_TO_CHOOSE):
                        raise
                    context.log.warning("The strategy's own settings stay: %s", error)
                    version, facts = digest_json([order.training_id, str(error)]), _own(document, error)
                record_partition(
                    context,
                    partition,
                    cutoff,
                    version=version,
                    metadata={"mlflow_run": dg.MetadataValue.url(trials.run.url), **facts},
                    inputs=[Input(upstream, {cutoff: document.id}, event)],
                )
        return recorded(context)

    return [search]


def _own(document: Document, error: Exception) -> dict[str, Any]:
    """A search that chose nothing: the strategy's own settings, and why."""
    return {
        "train_lineage_id": document.id,
        BEST_PARAMETERS: dg.MetadataValue.json({}),
        "tried": 0,
        WHY: f"The strategy's own settings stay: {error}",
    }


def behind(
    context: dg.AssetExecutionContext, market: Market, partition: str, trained: Mapping[str, Any]
) -> dict[str, Any]:
    """Of how many the settings of a model are the best, and how likely that is luck, by the model's own metadata."""
    found = newest(context, key_of(market, SEARCH), partition)
    if found is None or found.metadata["train_lineage_id"] != trained["train_lineage_id"]:
        return {SETTINGS: "No search on this snapshot stands behind them."}
    best = found.metadata[BEST_PARAMETERS]
    if not best:
        return {SETTINGS: found.metadata[WHY]}
    if any(trained["hyperparameters"].get(name) != value for name, value in best.items()):
        return {SETTINGS: "Others than those that the search on this snapshot found best."}
    told = f"The best of {found.metadata['tried']} trials on this snapshot. Overfitting: {found.metadata[OVERFITTING]}"
    probability = found.metadata.get(OVERFITTING_PROBABILITY)
    return {SETTINGS: told} | ({} if probability is None else {OVERFITTING_PROBABILITY: probability})


def _told_to(context: dg.AssetExecutionContext) -> SearchListener:
    def listener(progress: SearchProgress) -> None:
        if progress.state != "tested":
            context.log.info("Trial %d %s: %s", progress.number, progress.state, progress.message)

    return listener


def _break_off(trials: TrackedTrials, error: BaseException) -> None:
    """The search's own error is the one to be told, also where MLflow cannot be reached."""
    try:
        trials.broken_off()
    except DependencyFailed as unreachable:
        error.add_note(f"Its runs in MLflow could not be ended: {unreachable}")


def _metadata(found: SearchResult) -> dict[str, Any]:
    """The trials, and what luck may have done."""
    facts: dict[str, Any] = {
        "train_lineage_id": found.snapshot_id,
        BEST_PARAMETERS: dg.MetadataValue.json(dict(found.best_parameters)),
        "objective": found.objective,
        "best_value": short(found.best_value),
        "best_trial": found.best_number,
        "trials": records([_shortened(each) for each in as_table(found)]),
        "tried": found.deflation.trials,
        "failed": found.deflation.failed,
        "pruned": found.deflation.pruned,
        OVERFITTING: found.overfitting.words,
        "search_seconds": round(found.seconds, 1),
    }
    if found.overfitting.probability is not None:
        facts[OVERFITTING_PROBABILITY] = short(found.overfitting.probability)
    if found.gain is not None:
        facts["gain_over_the_strategy"] = short(found.gain)
    if found.importance:
        facts["importance"] = records([{"parameter": name, "share": share} for name, share in found.importance.items()])
    return facts


def _shortened(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: short(value) if isinstance(value, float) else value for name, value in row.items()}
