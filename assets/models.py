"""model of one market: what each strategy's training on its snapshot gave."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG

from assets.keys import MODEL, SEARCH, SNAPSHOT, TRAINING, key_of
from assets.launchpad import FROM_SEARCH, SEED, chosen_values, machine_of, training_config
from assets.metadata import picture, records
from assets.reactions import reacting
from assets.recording import Input, inputs_of, record_partition, recorded
from assets.snapshots import coordinates, snapshot_partitions
from assets.stopping import stop_of
from assets.upstream import Newest, newest
from quant_pipelines.calendars import Session
from quant_pipelines.clock import SystemClock
from quant_pipelines.code import code_version
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.lineage import Node, NodeKind, Parent
from quant_pipelines.markets import Market
from quant_pipelines.models import Value
from quant_pipelines.snapshots import Document, SnapshotStore, load
from quant_pipelines.strategies import Strategy
from quant_pipelines.training import (
    Listener,
    Progress,
    Published,
    Trainer,
    curves_png,
    headline,
    importance_png,
    order_for,
)
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.machine import MachineResource
from resources.models import RUN_TAG, ModelStoreResource, TrackerResource
from resources.snapshots import SnapshotsResource
from resources.training import TrainingResource

FORMAT = "1"
# The metadata by which checks and later assets find the stored version.
VERSION = "model"
_SECONDS_BETWEEN_LINES = 5.0
_STRONGEST = 15


class NoSnapshot(OperatorActionRequired):
    """A model was asked for where there is no snapshot to train on."""

    code = "QP163"


class NoSearch(OperatorActionRequired):
    """Values of a search were asked for where there is none on this snapshot."""

    code = "QP165"


def model_assets(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.AssetsDefinition]:
    """One asset for each market that has strategies."""
    if not strategies:
        return []
    upstream, search = key_of(market, SNAPSHOT), key_of(market, SEARCH)

    @dg.asset(
        key=key_of(market, MODEL),
        # The search comes first where a run has both; without one the strategy's own values are trained with.
        deps=[upstream, search],
        group_name=TRAINING,
        description="What a strategy's training on its snapshot gave: a signed version in the model store, its "
        f"report, and its run in MLflow.\n\n{market.description}",
        partitions_def=snapshot_partitions(market, strategies),
        config_schema=training_config(each.model.kind for each in strategies.values()),
        code_version=FORMAT,
        owners=[market.owner],
        kinds={"mlflow"},
        tags={"market": market.name},
        # One training at a time, whoever's: two on one machine would only take each other's cores and memory.
        pool="training",
    )
    def model(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        lineage: LineageResource,
        snapshots: SnapshotsResource,
        machine: MachineResource,
        models: ModelStoreResource,
        tracker: TrackerResource,
        training: TrainingResource,
    ) -> dg.MaterializeResult:
        with reacting(context):
            store, config, stop = snapshots.open(), context.op_execution_context.op_config, stop_of(context)
            actor = lake.writer(context).who
            for partition in context.partition_keys:
                cutoff, name = coordinates(partition)
                document, input_ = snapshot_of(context, upstream, store, partition)
                searched = newest(context, search, partition)
                order = order_for(
                    strategies[name],
                    document,
                    code_version=code_version(),
                    seed=config[SEED],
                    machine=machine_of(config, machine.threads),
                    chosen=_chosen(context, strategies[name], partition, document, searched),
                )
                trainer = Trainer(
                    models=models.open(),
                    tracker=tracker.open(),
                    ledger=training.ledger(actor),
                    shelf=training.shelf(),
                    clock=SystemClock(),
                    actor=actor,
                    listener=_told_to(context, partition),
                    stop=stop,
                    fence=lake.fence(context),
                    tags={RUN_TAG: context.run.run_id, "partition": partition},
                )
                published = trainer.train(order, document, load(store, document))
                if published.damage is not None:
                    context.log.warning("Trained again, since the stored version is damaged: %s", published.damage)
                if published.order.adjusted is not None:
                    context.log.warning("Not trained as it was asked for: %s", published.order.adjusted)
                lineage.open().record(_node(published))
                record_partition(
                    context,
                    partition,
                    cutoff,
                    version=published.content_id,
                    metadata=_metadata(published),
                    inputs=[Input(upstream, {cutoff: document.id}, input_), *_input(context, search, cutoff, searched)],
                )
        return recorded(context)

    return [model]


def snapshot_of(
    context: dg.AssetExecutionContext, upstream: dg.AssetKey, store: SnapshotStore, partition: str
) -> tuple[Document, str]:
    """The snapshot that was materialised last for this cutoff and strategy, and the event that says so."""
    found = newest(context, upstream, partition)
    if found is None:
        raise NoSnapshot(
            f"There is no snapshot of {partition} to train on. Materialise {upstream.to_user_string()} for it first, "
            "or both together."
        )
    return store.document(str(found.metadata["train_lineage_id"])), found.event


def _chosen(
    context: dg.AssetExecutionContext,
    strategy: Strategy,
    partition: str,
    document: Document,
    found: Newest | None,
) -> Mapping[str, Value]:
    """The launchpad's values over those that a search found, where it is asked for."""
    config = context.op_execution_context.op_config
    chosen = chosen_values(strategy, config)
    if not config[FROM_SEARCH]:
        return chosen
    if found is None or found.metadata["train_lineage_id"] != document.id:
        problem = "There is no search" if found is None else "The search was made on another snapshot"
        raise NoSearch(
            f"{problem} of {partition}. Materialise {strategy.market}/{SEARCH} for it first, or leave from_search away."
        )
    return {**found.metadata["best_parameters"], **chosen}


def _input(
    context: dg.AssetExecutionContext, search: dg.AssetKey, cutoff: Session, found: Newest | None
) -> Sequence[Input]:
    """The search that there was. That there was none is known too: without a word of it the model would look stale."""
    if found is None:
        return inputs_of(context, {search: {}})
    return [Input(search, {cutoff: str(found.metadata["data_version"])}, found.event)]


def newest_of(context: dg.AssetCheckExecutionContext, key: dg.AssetKey) -> list[str]:
    """The version that the run has made; the newest of all where a person runs the checks alone."""
    partition = context.run.tags.get(PARTITION_NAME_TAG)
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition] if partition else None)
    found = context.instance.fetch_materializations(wanted, limit=1).records
    events = [each.asset_materialization for each in found]
    return [str(each.metadata[VERSION].value) for each in events if each is not None]


def _told_to(context: dg.AssetExecutionContext, partition: str) -> Listener:
    """Stages become events of the asset, steps lines of the log: the first, the last, and one every few seconds."""
    last = -_SECONDS_BETWEEN_LINES

    def listener(progress: Progress) -> None:
        nonlocal last
        if progress.step is None:
            _observe(context, partition, progress)
            return
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES or progress.step.number == progress.step.of:
            last = now
            context.log.info("%.0f %%: %s", progress.percent, progress.message)

    return listener


def _observe(context: dg.AssetExecutionContext, partition: str, progress: Progress) -> None:
    context.log.info("%.0f %% %s: %s", progress.percent, progress.stage, progress.message)
    context.log_event(
        dg.AssetObservation(
            asset_key=context.asset_key,
            partition=partition,
            description=progress.message,
            metadata={"model_id": progress.model_id, "stage": progress.stage.value, "percent": progress.percent},
        )
    )


def _node(published: Published) -> Node:
    order = published.order
    return Node(
        id=published.version.id,
        kind=NodeKind.MODEL,
        market=order.strategy.market,
        name=order.strategy.name,
        facts={"training_id": order.training_id, "kind": order.settings.kind, "version": published.version.number},
        parents=(Parent(order.snapshot_id, "trained_on"),),
    )


def _metadata(published: Published) -> dict[str, Any]:
    """The report, as a person wants to see it."""
    report, version = published.report, published.version
    facts: dict[str, Any] = {
        VERSION: version.name,
        "version_id": version.id,
        "model_path": dg.MetadataValue.path(version.uri),
        "train_lineage_id": published.manifest.snapshot_id,
        "training_id": version.training_id,
        "trained": "now" if published.trained else "before: equal orders are not trained twice",
        "mlflow_run": dg.MetadataValue.url(published.page),
        "kind": report.model_kind,
        "report": records([headline(report)]),
        "training_seconds": round(report.training_duration, 2),
        "total_epochs": report.total_epochs,
        "best_epoch": report.best_epoch,
        "metrics": records([{"measure": name, "value": value} for name, value in report.final_metrics.items()]),
        "hyperparameters": dg.MetadataValue.json(dict(report.hyperparameters)),
        "data": dg.MetadataValue.json(report.data_info),
        **{name: value for name, value in report.final_metrics.items() if name.startswith("validation_")},
    }
    if published.order.adjusted is not None:
        facts["adjusted"] = published.order.adjusted
    if published.damage is not None:
        facts["damaged_before"] = published.damage
    pictures = {"curves": curves_png(report), "importance": importance_png(report)}
    facts |= {name: picture(name, content) for name, content in pictures.items() if content is not None}
    if report.feature_importance:
        rows = [{"feature": name, "importance": value} for name, value in report.strongest[:_STRONGEST]]
        facts["strongest_features"] = records(rows)
    if report.feature_correlations:
        facts["closest_features"] = records([each.model_dump() for each in report.feature_correlations[:_STRONGEST]])
    return facts
