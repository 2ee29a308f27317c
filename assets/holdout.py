"""holdout_evaluation of one market: candidate and champion on the same sessions, which neither has seen."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import numpy as np

from assets.keys import GOVERNANCE, HOLDOUT_EVALUATION, MODEL, PRICES, key_of
from assets.labels import publisher_of
from assets.metadata import line_plot, records, short
from assets.models import VERSION
from assets.reactions import reacting
from assets.recording import Input, inputs_of, record_partition, recorded
from assets.search import behind
from assets.snapshots import SESSION, builder_of, coordinates, snapshot_partitions
from assets.upstream import Newest, newest
from quant_pipelines.calendars import session_key
from quant_pipelines.deployment import live_now
from quant_pipelines.digest import digest_json
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.evaluation.evidence import Estimate, Evidence, Gain
from quant_pipelines.holdout import Examination, Examiner, Exchange, Trades
from quant_pipelines.lake import Window
from quant_pipelines.lake.tables import PRICES as PRICE_TABLE
from quant_pipelines.markets import Market
from quant_pipelines.models import Machine
from quant_pipelines.registry import ModelStore, Version
from quant_pipelines.strategies import Strategy
from resources.journal import JournalResource
from resources.lake import LakeResource
from resources.machine import MachineResource
from resources.models import ModelStoreResource
from resources.snapshots import SnapshotsResource
from resources.sources import SourcesResource

FORMAT = "1"
# The metadata by which the decision finds what it is about.
EVIDENCE = "evidence"
INCREMENTAL = "incremental"
_CONFIG = {
    INCREMENTAL: dg.Field(
        bool,
        default_value=False,
        description="The candidate was trained between full trainings: it need not be better than the champion, only "
        "not significantly worse.",
    )
}
_MONEY_SHOWN = ("annual_return", "volatility", "sharpe", "max_drawdown")


class NoCandidate(OperatorActionRequired):
    """A holdout was to be read for a model that is not there."""

    code = "QP178"


def holdout_assets(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.AssetsDefinition]:
    """One asset for each market that has strategies."""
    if not strategies:
        return []
    upstream, prices = key_of(market, MODEL), key_of(market, PRICES)
    of_session = dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name=SESSION)

    @dg.asset(
        key=key_of(market, HOLDOUT_EVALUATION),
        deps=[upstream, dg.AssetDep(prices, partition_mapping=of_session)],
        group_name=GOVERNANCE,
        description="What the newest model of a strategy is worth on sessions that neither it nor the champion has "
        f"seen, with what other sessions might have said. Every look is counted.\n\n{market.description}",
        partitions_def=snapshot_partitions(market, strategies),
        config_schema=_CONFIG,
        code_version=FORMAT,
        owners=[market.owner],
        kinds={"numpy"},
        tags={"market": market.name},
        pool="training",
    )
    def holdout_evaluation(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        snapshots: SnapshotsResource,
        sources: SourcesResource,
        machine: MachineResource,
        models: ModelStoreResource,
        journal: JournalResource,
    ) -> dg.MaterializeResult:
        with reacting(context):
            incremental = context.op_execution_context.op_config[INCREMENTAL]
            writer, store, kept = lake.writer(context), lake.open(), models.open()
            examiner = Examiner(
                models=kept,
                builder=builder_of(context, market, lake, snapshots, machine),
                exchange=Exchange(
                    market=market,
                    lake=store,
                    venue=publisher_of(market, store, sources.answering(market).source).venue,
                ),
                journal=journal.open(),
                actor=writer.who,
                machine=Machine(threads=machine.threads),
            )
            for partition in context.partition_keys:
                cutoff, _ = coordinates(partition)
                priced = inputs_of(
                    context, {prices: store.table(market.name, PRICE_TABLE).session_ids(Window(cutoff, cutoff))}
                )
                trained = trained_for(context, upstream, partition)
                candidate = candidate_of(kept, trained)
                champion = champion_of(examiner, candidate)
                found = examiner.examine(candidate, champion, incremental=incremental)
                record_partition(
                    context,
                    partition,
                    cutoff,
                    version=digest_json(found.evidence.model_dump(mode="json")),
                    metadata=_metadata(found, behind(context, market, partition, trained.metadata)),
                    inputs=[Input(upstream, {cutoff: str(trained.metadata["data_version"])}, trained.event), *priced],
                )
        return recorded(context)

    return [holdout_evaluation]


def trained_for(context: dg.AssetExecutionContext, upstream: dg.AssetKey, partition: str) -> Newest:
    """What was trained last for this partition."""
    found = newest(context, upstream, partition)
    if found is None:
        raise NoCandidate(
            f"There is no model of {partition} to judge. Materialise {upstream.to_user_string()} for it first, or both "
            "together."
        )
    return found


def candidate_of(models: ModelStore, trained: Newest) -> Version:
    """The version that it gave."""
    model, number = str(trained.metadata[VERSION]).rsplit("/", 1)
    return models.version(model, int(number))


def champion_of(examiner: Examiner, candidate: Version) -> Version | None:
    """Who serves everybody, by the journal; none where the candidate would be the first, or serves already."""
    placed = live_now(examiner.journal, candidate.model).champion
    if placed is None or placed.version.id == candidate.id:
        return None
    return examiner.models.version(candidate.model, placed.version.number)


def _metadata(found: Examination, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The evidence, as a person wants to see it: in words and tables first, and for programs last."""
    evidence = found.evidence
    champion = None if evidence.champion is None else evidence.champion
    facts: dict[str, Any] = {
        "status": evidence.status if not evidence.reason else f"{evidence.status}: {evidence.reason}",
        VERSION: evidence.candidate.version,
        "champion": "none" if champion is None else champion.version,
        **settings,
        "rows": evidence.rows,
        "sessions": evidence.sessions,
        "times_read": found.times_read,
        "other_candidates_before": evidence.reads,
        "trainings_so_far": evidence.trials,
        "measures": _measures(evidence),
        "shares": dg.MetadataValue.json(
            {each.version: each.shares for each in (evidence.candidate, champion) if each is not None}
        ),
        "read_from": dg.MetadataValue.json(evidence.data),
    }
    if evidence.first_session is not None and evidence.last_session is not None:
        facts["span"] = f"{session_key(evidence.first_session)} .. {session_key(evidence.last_session)}"
    for name, trades in (("candidate", found.candidate), ("champion", found.champion)):
        if trades is not None:
            facts[f"{name}_account"] = _account(name, trades)
    if found.benchmarks:
        facts["benchmarks"] = records(
            [
                {"benchmark": name, **{measure: short(each.measures[measure].value) for measure in _MONEY_SHOWN}}
                for name, each in found.benchmarks.items()
            ]
        )
    # Plain numbers are plotted over the partitions.
    plotted = {name: short(each.value) for name, each in evidence.candidate.measures.items() if each.value is not None}
    return {
        **facts,
        **{f"holdout_{name}": value for name, value in plotted.items()},
        EVIDENCE: dg.MetadataValue.json(evidence.model_dump(mode="json")),
    }


def _measures(evidence: Evidence) -> dg.TableMetadataValue:
    """One row per measure: both models with their intervals, the gain, and how likely it is by luck."""
    theirs = {} if evidence.champion is None else evidence.champion.measures
    return records(
        [
            {
                "measure": name,
                "candidate": _told(mine),
                "champion": _told(theirs.get(name)),
                "gain": _told(evidence.gains.get(name)),
                "luck": short(getattr(evidence.gains.get(name), "luck", None)),
            }
            for name, mine in evidence.candidate.measures.items()
        ]
    )


def _told(estimate: Estimate | Gain | None) -> str:
    if estimate is None or estimate.value is None:
        return ""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.4g}"
    return f"{estimate.value:.4g} ({estimate.low:.4g} .. {estimate.high:.4g})"


def _account(name: str, trades: Trades) -> dg.MarkdownMetadataValue:
    wealth = np.cumprod(1.0 + trades.account.returns)
    first, last = (str(each)[:10] for each in (trades.sessions[0], trades.sessions[-1]))
    return line_plot(f"Long-short account of the {name}, after costs", wealth, first=first, last=last)
