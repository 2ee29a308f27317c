"""explanation of one market: what each strategy's model looks at."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from assets.keys import EXPLANATION, MODEL, TRAINING, key_of
from assets.metadata import picture, records
from assets.models import VERSION
from assets.reactions import reacting
from assets.recording import Input, record_partition, recorded
from assets.snapshots import coordinates, snapshot_partitions
from assets.upstream import newest
from quant_pipelines.calendars import parse_session
from quant_pipelines.digest import digest_json
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.explain import (
    STANDARD,
    Chosen,
    ExplainSettings,
    ExplanationReport,
    FittedVersion,
    explain_version,
    explanation_page,
    importance_picture,
)
from quant_pipelines.lineage import Node, NodeKind, Parent
from quant_pipelines.markets import Market
from quant_pipelines.models import Machine
from quant_pipelines.registry import TrackedRun
from quant_pipelines.serving import Stored, stored_version
from quant_pipelines.snapshots import SnapshotArrays, load
from quant_pipelines.strategies import Strategy
from resources.lineage import LineageResource
from resources.machine import MachineResource
from resources.models import ModelStoreResource, TrackerResource
from resources.pages import PagesResource
from resources.snapshots import SnapshotsResource

FORMAT = "1"
_SHOWN, _FILE_DIGITS = 20, 16
_PREDICTIONS = dg.Array(dg.Shape({"symbol": dg.Field(str), "session": dg.Field(str)}))
_CONFIG = {
    "seed": dg.Field(int, default_value=STANDARD.seed, description="Seed of everything that is drawn."),
    "n_samples": dg.Field(int, default_value=STANDARD.n_samples, description="How many validation rows are explained."),
    "predictions": dg.Field(
        _PREDICTIONS,
        default_value=[],
        description="Single predictions by symbol and session; the highest and the lowest newest one otherwise.",
    ),
}


class NoModel(OperatorActionRequired):
    """An explanation was asked for where there is no model."""

    code = "QP197"


def explanation_assets(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.AssetsDefinition]:
    """One asset for each market that has strategies."""
    if not strategies:
        return []
    upstream = key_of(market, MODEL)

    @dg.asset(
        key=key_of(market, EXPLANATION),
        deps=[upstream],
        group_name=TRAINING,
        description="What each column adds to a model's predictions: by column, by family of indicators, over time, "
        f"and for single predictions.\n\n{market.description}",
        partitions_def=snapshot_partitions(market, strategies),
        config_schema=_CONFIG,
        code_version=FORMAT,
        owners=[market.owner],
        kinds={"html"},
        tags={"market": market.name},
        pool="training",
    )
    def explanation(
        context: dg.AssetExecutionContext,
        lineage: LineageResource,
        snapshots: SnapshotsResource,
        machine: MachineResource,
        models: ModelStoreResource,
        tracker: TrackerResource,
        pages: PagesResource,
    ) -> dg.MaterializeResult:
        with reacting(context):
            store, kept = snapshots.open(), models.open()
            config = context.op_execution_context.op_config
            for partition in context.partition_keys:
                cutoff, _ = coordinates(partition)
                name, version, event = _model_of(context, upstream, partition)
                model_name, number = name.rsplit("/", 1)
                stored = stored_version(kept, store, kept.version(model_name, int(number)))
                report = explain_version(
                    _fitted(stored, load(store, stored.document)),
                    _settings(config),
                    chosen=[_chosen(each) for each in config["predictions"]],
                    machine=Machine(threads=machine.threads),
                )
                node, text = _node(stored, report), explanation_page(report)
                lineage.open().record(node)
                run = tracker.open().run(stored.version.run_id)
                files = _put_beside(run, node.id, report, text)
                file = f"{market.name}/explanation_{partition.replace('|', '_').replace(':', '')}.html"
                page = pages.write(file, text)
                record_partition(
                    context,
                    partition,
                    cutoff,
                    version=node.id,
                    metadata={
                        VERSION: name,
                        "train_lineage_id": stored.manifest.snapshot_id,
                        "page": dg.MetadataValue.path(str(page)),
                        "mlflow_run": dg.MetadataValue.url(run.url),
                        "mlflow_files": files,
                        **_metadata(report),
                    },
                    inputs=[Input(upstream, {cutoff: version}, event)],
                )
        return recorded(context)

    return [explanation]


def _model_of(context: dg.AssetExecutionContext, upstream: dg.AssetKey, partition: str) -> tuple[str, str, str]:
    """The name and data version of the model that was made last for this partition, and the event that says so."""
    found = newest(context, upstream, partition)
    if found is None:
        raise NoModel(
            f"There is no model of {partition} to explain. Materialise {upstream.to_user_string()} for it first, "
            "or both together."
        )
    return str(found.metadata[VERSION]), str(found.metadata["data_version"]), found.event


def _fitted(stored: Stored, arrays: SnapshotArrays) -> FittedVersion:
    return FittedVersion(
        model_id=stored.manifest.training_id, model_name=stored.version.model, model=stored.model, arrays=arrays
    )


def _node(stored: Stored, report: ExplanationReport) -> Node:
    """Named by the version and what was said of it: equal explanations of one version are one."""
    recipe = stored.document.recipe
    return Node(
        id=digest_json([stored.version.id, report.model_dump(mode="json")]),
        kind=NodeKind.EXPLANATION,
        market=recipe.market,
        name=recipe.strategy,
        facts={"version": stored.version.number, "method": report.method, "rows": report.rows},
        parents=(Parent(stored.version.id, "explains"), Parent(stored.manifest.snapshot_id, "explained_on")),
    )


def _put_beside(run: TrackedRun, content: str, report: ExplanationReport, page: str) -> str:
    """Among the files of the model's own run (S3-17), outside of what was signed; each explanation has its own name."""
    place = f"explanation/{content[:_FILE_DIGITS]}"
    run.log_text(report.model_dump_json(indent=2), f"{place}.json")
    run.log_text(page, f"{place}.html")
    return place


def _settings(config: Mapping[str, Any]) -> ExplainSettings:
    return replace(STANDARD, seed=config["seed"], n_samples=config["n_samples"])


def _chosen(each: Mapping[str, str]) -> Chosen:
    return Chosen(symbol=each["symbol"], session=parse_session(each["session"]))


def _metadata(report: ExplanationReport) -> dict[str, Any]:
    """The report, as a person wants to see it."""
    facts: dict[str, Any] = {
        "importance": picture("importance", importance_picture(report)),
        "method": report.method,
        "score": report.score,
        "rows": report.rows,
        "span": f"{report.first} .. {report.last}",
        "base": report.base,
        "largest_left": report.largest_left,
        "adds_up": report.adds_up,
        "columns": records([each.model_dump() for each in report.columns[:_SHOWN]]),
        "families": records([each.model_dump() for each in report.families[:_SHOWN]]),
        "predictions": dg.MetadataValue.md("\n\n".join(each.words for each in report.local) or "None."),
    }
    if report.stability.mean is not None:
        facts |= {"stability": report.stability.mean, "least_stability": report.stability.least}
    return facts
