"""What must hold of labels, as asset checks; the blocking ones keep a label that knew too much from its readers."""

from collections.abc import Iterable, Sequence

import dagster as dg

from assets.checks.judged import check_result, check_spec, seed_of
from assets.keys import LABELS, key_of
from assets.labels import publisher_of
from assets.partitions import sessions_checked
from assets.reactions import reacting
from quant_pipelines.clock import SystemClock
from quant_pipelines.label_tables import RULES, judge_labels
from quant_pipelines.markets import Market
from resources.lake import LakeResource
from resources.sources import SourcesResource


def label_checks(market: Market) -> Sequence[dg.AssetChecksDefinition]:
    """One suite for the labels of the market."""
    asset = key_of(market, LABELS)

    @dg.multi_asset_check(
        name=f"{market.name}_{LABELS}_suite",
        specs=[check_spec(asset, rule) for rule in RULES],
        description="Rules of labels over the sessions of the run.",
    )
    def suite(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, sources: SourcesResource
    ) -> Iterable[dg.AssetCheckResult]:
        seed = seed_of(context)
        with reacting(context):
            publisher = publisher_of(market, lake.open(), sources.answering(market).source)
            judgements = judge_labels(publisher, sessions_checked(context, market), clock=SystemClock(), seed=seed)
        yield from (check_result(asset, each, seed) for each in judgements)

    return [suite]
