"""What must hold of the feature tables, as asset checks; the blocking ones keep a leaking table from its readers."""

from collections.abc import Iterable, Sequence

import dagster as dg

from assets.checks.judged import check_result, check_spec, seed_of
from assets.features import registry_of
from assets.keys import key_of
from assets.partitions import sessions_checked
from assets.reactions import reacting
from quant_pipelines.feature_tables import RULES, FeaturePublisher, judge_features
from quant_pipelines.features.registry import FeatureSet
from quant_pipelines.markets import Market
from resources.lake import LakeResource
from resources.machine import MachineResource


def feature_checks(market: Market) -> Sequence[dg.AssetChecksDefinition]:
    """One suite for each feature table of the market."""
    return [_suite(market, features) for features in registry_of(market).sets]


def _suite(market: Market, features: FeatureSet) -> dg.AssetChecksDefinition:
    asset = key_of(market, features.name)

    @dg.multi_asset_check(
        name=f"{market.name}_{features.name}_suite",
        specs=[check_spec(asset, rule) for rule in RULES],
        description=f"Rules of {features.name} over the sessions of the run.",
    )
    def suite(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, machine: MachineResource
    ) -> Iterable[dg.AssetCheckResult]:
        seed = seed_of(context)
        with reacting(context):
            publisher = FeaturePublisher(market=market, features=features, lake=lake.open(), threads=machine.threads)
            judgements = judge_features(publisher, sessions_checked(context, market), seed=seed)
        yield from (check_result(asset, each, seed) for each in judgements)

    return suite
