"""predictions of one market: what serves says of each session."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import dagster as dg
import numpy as np

from assets.features import registry_of
from assets.keys import GOVERNANCE, PREDICTIONS, PRICES, key_of
from assets.metadata import column_schema, preview, records
from assets.partitions import session_partitions
from assets.reactions import reacting
from assets.recording import inputs_of, record_sessions, recorded
from assets.snapshots import builder_of
from quant_pipelines.calendars import Session, parse_session, session_key
from quant_pipelines.feature_tables import feature_schema
from quant_pipelines.lake import Lake, Window
from quant_pipelines.lineage import Node, NodeKind, Parent
from quant_pipelines.markets import Market
from quant_pipelines.models import Machine
from quant_pipelines.predictions import PREDICTIONS as TABLE
from quant_pipelines.predictions import PredictionPublisher, PublishedPredictions
from quant_pipelines.registry import ModelStore
from quant_pipelines.serving import Predictor
from quant_pipelines.snapshots.tracing import node_of
from quant_pipelines.strategies import Strategy
from resources.journal import JournalResource
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.machine import MachineResource
from resources.models import ModelStoreResource
from resources.snapshots import SnapshotsResource

FORMAT = "1"
# The metadata by which the check on response times finds what was measured.
SERVED, RESPONSE_MS = "served", "response_ms"


def prediction_assets(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.AssetsDefinition]:
    """One table for each market that has strategies."""
    if not strategies:
        return []
    # The asset of a set of features, and the table that the set's own version gives it.
    upstream = {key_of(market, each.name): feature_schema(each).name for each in registry_of(market).sets}

    @dg.asset(
        key=key_of(market, PREDICTIONS),
        deps=[key_of(market, PRICES), *upstream],
        group_name=GOVERNANCE,
        description=f"{TABLE.description}\n\n{market.description}",
        partitions_def=session_partitions(market),
        backfill_policy=dg.BackfillPolicy.single_run(),
        code_version=FORMAT,
        owners=[market.owner],
        kinds={"parquet", "deltalake"},
        tags={"market": market.name},
        metadata=column_schema(TABLE),
        pool=f"predictions_{market.name}",
    )
    def predictions(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        lineage: LineageResource,
        snapshots: SnapshotsResource,
        machine: MachineResource,
        models: ModelStoreResource,
        journal: JournalResource,
    ) -> dg.MaterializeResult:
        with reacting(context):
            writer, store = lake.writer(context), lake.open()
            builder = builder_of(context, market, lake, snapshots, machine)
            predictor = Predictor(models=models.open(), builder=builder, machine=Machine(threads=machine.threads))
            publisher = PredictionPublisher(market=market, lake=store, journal=journal.open(), predictor=predictor)
            for partition in context.partition_keys:
                session = parse_session(partition)
                inputs = inputs_of(context, _read(store, market, upstream, session))
                published = publisher.publish(session, list(strategies), writer=writer, fence=lake.fence(context))
                window = Window(session, session)
                versions = publisher.table.session_ids(window)
                for each in published.served:
                    lineage.open().record(node_of(builder.store.document(each.infer_lineage_id), builder.store))
                lineage.open().record(_node(market, published, versions[session], predictor.models))
                record_sessions(
                    context,
                    window,
                    versions=versions,
                    metadata=_metadata(published),
                    by_session={session: {"rows": published.rows.num_rows}},
                    inputs=inputs,
                )
        return recorded(context)

    return [predictions]


def _read(
    lake: Lake, market: Market, upstream: Mapping[dg.AssetKey, str], session: Session
) -> Mapping[dg.AssetKey, Mapping[Session, str]]:
    """The session's own content in each table of features, as Dagster sees what predictions depend on."""
    tables = {key: lake.stored(market.name, table) for key, table in upstream.items()}
    window = Window(session, session)
    return {key: {} if table is None else table.session_ids(window) for key, table in tables.items()}


def _node(market: Market, published: PublishedPredictions, content: str, models: ModelStore) -> Node:
    """The session's predictions: the versions that were asked, and the inference that each was given."""
    versions = {each.version: models.version(*_split(each.version)).id for each in published.served}
    parents = {Parent(versions[each.version], "asked") for each in published.served}
    parents |= {Parent(each.infer_lineage_id, "given") for each in published.served}
    return Node(
        id=content,
        kind=NodeKind.PREDICTIONS,
        market=market.name,
        name=PREDICTIONS,
        facts={"session": session_key(published.session), "versions": sorted(versions)},
        parents=tuple(sorted(parents)),
    )


def _split(version: str) -> tuple[str, int]:
    model, number = version.rsplit("/", 1)
    return model, int(number)


def _metadata(published: PublishedPredictions) -> dict[str, Any]:
    rows = published.rows
    scores = rows.filter(rows["serves"])["score"].to_numpy()
    return {
        SERVED: records([asdict(each) for each in published.served]),
        "nothing_live": ", ".join(published.silent) or "none",
        "infer_lineage_id": ", ".join(sorted({each.infer_lineage_id for each in published.served})),
        "versions": len(published.served),
        "mean_score": float(np.mean(scores)) if scores.size else 0.0,
        "spread_of_scores": float(np.std(scores)) if scores.size else 0.0,
        "preview": preview(rows),
    }
