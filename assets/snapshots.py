"""snapshot of one market: what each strategy's training may know at a cutoff."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.features import registry_of
from assets.keys import LABELS, PRICES, SNAPSHOT, TRAINING, key_of
from assets.metadata import records
from assets.partitions import session_partitions
from assets.reactions import reacting
from assets.recording import Input, inputs_of, record_partition, recorded
from quant_pipelines.calendars import Session, parse_session, session_key
from quant_pipelines.clock import SystemClock
from quant_pipelines.code import code_version
from quant_pipelines.feature_tables import feature_schema
from quant_pipelines.labels import LABEL_SETS
from quant_pipelines.lake import Lake, Window
from quant_pipelines.markets import Market
from quant_pipelines.snapshots import Built, Document, Maker, SnapshotBuilder, SnapshotStore
from quant_pipelines.snapshots.document import FORMAT, Part
from quant_pipelines.snapshots.tracing import node_of
from quant_pipelines.strategies import Strategy, TrainingWindow
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.machine import MachineResource
from resources.snapshots import SnapshotsResource

SESSION, STRATEGY = "session", "strategy"
LABEL_SPANS = {name: each.span_sessions for name, each in LABEL_SETS.items()}
_SHOWN_COLUMNS = 20
MONTHS = "months"
_CONFIG = {
    MONTHS: dg.Field(
        dg.Noneable(int),
        default_value=None,
        description="Take signals from so many months before the cutoff, and not from the strategy's own window.",
    )
}


def snapshot_partitions(market: Market, strategies: Mapping[str, Strategy]) -> dg.MultiPartitionsDefinition:
    """A cutoff and a strategy."""
    names = dg.StaticPartitionsDefinition(list(strategies))
    return dg.MultiPartitionsDefinition({SESSION: session_partitions(market), STRATEGY: names})


def snapshot_assets(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.AssetsDefinition]:
    """One asset for each market that has strategies."""
    if not strategies:
        return []
    # Only the cutoff's own session: Dagster stops counting at a hundred upstream partitions, and what a snapshot
    # is made of stands in the snapshot, session by session.
    mapping = dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name=SESSION)
    # Each asset and its table, which a set of features names by its version.
    sets = {each.name: feature_schema(each).name for each in registry_of(market).sets}
    upstream = {table: key_of(market, name) for name, table in {PRICES: PRICES, **sets, LABELS: LABELS}.items()}

    @dg.asset(
        key=key_of(market, SNAPSHOT),
        deps=[dg.AssetDep(key, partition_mapping=mapping) for key in upstream.values()],
        group_name=TRAINING,
        description=f"What a training may know at the close of a session, frozen and named by its content.\n\n"
        f"{market.description}",
        partitions_def=snapshot_partitions(market, strategies),
        config_schema=_CONFIG,
        code_version=str(FORMAT),
        owners=[market.owner],
        kinds={"numpy"},
        tags={"market": market.name},
        metadata={"strategies": _strategies(strategies)},
        pool=f"snapshot_{market.name}",
    )
    def snapshot(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        lineage: LineageResource,
        snapshots: SnapshotsResource,
        machine: MachineResource,
    ) -> dg.MaterializeResult:
        with reacting(context):
            builder = builder_of(context, market, lake, snapshots, machine)
            store = builder.store
            for partition in context.partition_keys:
                cutoff, strategy = coordinates(partition)
                inputs = _inputs(context, upstream, builder.lake, market, cutoff)
                built = builder.build(_within(strategies[strategy], context.op_execution_context.op_config), cutoff)
                lineage.open().record(node_of(built.document, store))
                described = _metadata(built, store)
                record_partition(
                    context, partition, cutoff, version=built.document.id, metadata=described, inputs=inputs
                )
        return recorded(context)

    return [snapshot]


def builder_of(
    context: dg.AssetExecutionContext,
    market: Market,
    lake: LakeResource,
    snapshots: SnapshotsResource,
    machine: MachineResource,
) -> SnapshotBuilder:
    """Freezes on behalf of this run: for trainings, and for whoever asks a stored version."""
    writer = lake.writer(context)
    return SnapshotBuilder(
        market=market,
        registry=registry_of(market),
        lake=lake.open(),
        store=snapshots.open(),
        label_spans=LABEL_SPANS,
        maker=Maker(writer.who, code_version(), writer.run_id),
        clock=SystemClock(),
        threads=machine.threads,
        fence=lake.fence(context),
    )


def _within(strategy: Strategy, config: Mapping[str, Any]) -> Strategy:
    """The strategy with the window that was asked for (S3-49)."""
    if config[MONTHS] is None:
        return strategy
    training = strategy.training.model_copy(update={"window": TrainingWindow(months=config[MONTHS])})
    return strategy.model_copy(update={"training": training})


def coordinates(partition: str) -> tuple[Session, str]:
    """The cutoff and the strategy of a partition's key; Dagster joins the dimensions in the order of their names."""
    session, strategy = partition.split("|")
    return parse_session(session), strategy


def _inputs(
    context: dg.AssetExecutionContext, upstream: Mapping[str, dg.AssetKey], lake: Lake, market: Market, cutoff: Session
) -> Sequence[Input]:
    """The cutoff's own session of every table there is, as Dagster sees what the snapshot depends on."""
    versions: dict[dg.AssetKey, Mapping[Session, str]] = {}
    for name, key in upstream.items():
        table = lake.stored(market.name, name)
        versions[key] = {} if table is None else table.session_ids(Window(cutoff, cutoff))
    return inputs_of(context, versions)


def _strategies(strategies: Mapping[str, Strategy]) -> dg.TableMetadataValue:
    return records(
        [
            {
                "strategy": each.name,
                "model": each.model.kind,
                "features": ", ".join(each.features),
                "labels": each.label_set,
                "description": each.description,
            }
            for each in strategies.values()
        ]
    )


def _metadata(built: Built, store: SnapshotStore) -> dict[str, Any]:
    """What was frozen, as a person wants to see it."""
    document = built.document
    recipe, outcome = document.recipe, document.outcome
    facts: dict[str, Any] = {
        "train_lineage_id": document.id,
        "made": "now" if built.made else "before: nothing had changed, so nothing was written",
        "tables": _tables(document),
        "columns": len(recipe.columns),
        "column_names": ", ".join(recipe.columns[:_SHOWN_COLUMNS])
        + (", ..." if len(recipe.columns) > _SHOWN_COLUMNS else ""),
        "rows": outcome.rows,
        "samples": outcome.samples,
        "symbols": outcome.symbols,
        "left_out": records([{"reason": reason, "rows": count} for reason, count in outcome.left_out.items()]),
        "universe": recipe.row_filter.choice.model_dump_json(exclude_none=True),
        "window": f"{session_key(recipe.window_first)} .. {session_key(recipe.cutoff)}",
        "read_from": session_key(recipe.reads_from),
        "split": _split(document),
        "normaliser": f"{recipe.normalisation.kind}, fitted on {outcome.normaliser.fitted_on}",
        "configuration_id": recipe.configuration_id,
        "code": recipe.code_version,
        "bytes": sum(store.blobs().get(blob, 0) for blob in document.blobs),
    }
    if recipe.labels is not None:
        facts["labels"] = f"{recipe.labels.label_set}, closed {recipe.labels.span_sessions} sessions after the signal"
    return facts


def _tables(document: Document) -> dg.TableMetadataValue:
    versions = document.provenance.table_versions
    return records(
        [
            {
                "table": each.table,
                "sessions": each.sessions,
                "first": session_key(each.first),
                "last": session_key(each.last),
                "table_version": versions[each.table],
                "data_version": each.data_version,
            }
            for each in document.recipe.all_tables
        ]
    )


def _split(document: Document) -> dg.TableMetadataValue | str:
    split = document.outcome.split
    if split is None or split.train is None:
        return "none" if split is None else f"{split.status}: {split.reason}"
    parts: dict[str, Part | None] = {"train": split.train, "validation": split.validation, "holdout": split.holdout}
    return records(
        [
            {"part": name, "first": session_key(part.first), "last": session_key(part.last), "samples": part.rows}
            for name, part in parts.items()
            if part is not None
        ]
    )
