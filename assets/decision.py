"""decision of one market: whether a candidate may go live, with the numbers, in plain words."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.holdout import EVIDENCE
from assets.keys import DECISION, GOVERNANCE, HOLDOUT_EVALUATION, key_of
from assets.metadata import records, short
from assets.models import VERSION
from assets.reactions import reacting
from assets.recording import Input, record_partition, recorded
from assets.snapshots import coordinates, snapshot_partitions
from assets.upstream import newest
from quant_pipelines.deployment import Decision, Switch, decide, decision_page, record
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.evaluation.evidence import Evidence
from quant_pipelines.lineage import Node, NodeKind, Parent
from quant_pipelines.markets import Market
from quant_pipelines.registry import Version
from quant_pipelines.strategies import Strategy
from resources.journal import JournalResource
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.models import ModelStoreResource
from resources.pages import PagesResource

FORMAT = "1"
# The metadata by which the rollout finds what was decided.
DECISION_ID = "decision_id"


class NoEvidence(OperatorActionRequired):
    """A decision was asked for where no holdout was read."""

    code = "QP191"


def decision_assets(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.AssetsDefinition]:
    """One asset for each market that has strategies."""
    if not strategies:
        return []
    upstream = key_of(market, HOLDOUT_EVALUATION)

    @dg.asset(
        key=key_of(market, DECISION),
        deps=[upstream],
        group_name=GOVERNANCE,
        description="Whether the candidate may go live: the rule, the guards and the gates of its strategy, line by "
        f"line, and what it would have needed. Written whether it may or not.\n\n{market.description}",
        partitions_def=snapshot_partitions(market, strategies),
        code_version=FORMAT,
        owners=[market.owner],
        kinds={"html"},
        tags={"market": market.name},
        pool=f"governance_{market.name}",
    )
    def decision(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        lineage: LineageResource,
        models: ModelStoreResource,
        journal: JournalResource,
        pages: PagesResource,
    ) -> dg.MaterializeResult:
        with reacting(context):
            store, book, actor = models.open(), journal.open(), lake.writer(context).who
            for partition in context.partition_keys:
                cutoff, name = coordinates(partition)
                found = newest(context, upstream, partition)
                if found is None:
                    raise NoEvidence(
                        f"No holdout of {partition} was read. Materialise {upstream.to_user_string()} for it first, or "
                        "both together."
                    )
                policy = strategies[name].rollout_policy
                decided = decide(Evidence.model_validate(found.metadata[EVIDENCE]), policy)
                with lake.fence(context)():
                    row = record(book, decided, actor=actor)
                # What was rejected is marked so; what nobody needs any more goes.
                switch = Switch(journal=book, store=store, actor=actor)
                switch.reconcile(decided.model)
                gone = switch.trim(decided.model, policy)
                lineage.open().record(_node(decided))
                file = f"{market.name}/decision_{partition.replace('|', '_').replace(':', '')}.html"
                page = pages.write(file, decision_page(decided, row))
                record_partition(
                    context,
                    partition,
                    cutoff,
                    version=decided.id,
                    metadata={
                        **_metadata(decided, gone),
                        "journal_row": row.sequence,
                        "page": dg.MetadataValue.path(str(page)),
                    },
                    inputs=[Input(upstream, {cutoff: str(found.metadata["data_version"])}, found.event)],
                )
        return recorded(context)

    return [decision]


def _node(decided: Decision) -> Node:
    evidence = decided.evidence
    compared = [] if evidence.champion is None else [Parent(evidence.champion.version_id, "compared_with")]
    return Node(
        id=decided.id,
        kind=NodeKind.DECISION,
        market=evidence.market,
        name=evidence.strategy,
        facts={"verdict": decided.verdict, "candidate": evidence.candidate.version},
        parents=(Parent(evidence.candidate.version_id, "judged"), *compared),
    )


def _metadata(decided: Decision, gone: Sequence[Version]) -> dict[str, Any]:
    evidence = decided.evidence
    facts: dict[str, Any] = {
        DECISION_ID: decided.id,
        "verdict": decided.verdict,
        "why": dg.MetadataValue.md(decided.reason),
        "nearest_flip": decided.flip or "none",
        VERSION: evidence.candidate.version,
        "champion": "none" if evidence.champion is None else evidence.champion.version,
        "lines": records(
            [
                {"what": each.name, "found": short(each.found), "needed": each.needs, "result": each.outcome}
                for each in decided.lines
            ]
        ),
        "policy": dg.MetadataValue.json(decided.policy.model_dump(mode="json")),
        "environment": "production" if decided.goes_live else "none",
        "versions_let_go": ", ".join(each.name for each in gone) or "none",
    }
    return facts
