"""What must hold of the feature tables, as asset checks; the blocking ones keep a leaking table from its readers."""

from collections.abc import Iterable, Sequence

import dagster as dg

from assets.features import registry_of
from assets.keys import key_of
from assets.metadata import records
from assets.partitions import sessions_checked
from assets.reactions import reacting
from quant_pipelines.digest import digest_json
from quant_pipelines.feature_tables import RULES, FeaturePublisher, FeatureRule, Judgement, judge_features
from quant_pipelines.features.registry import FeatureSet
from quant_pipelines.markets import Market
from resources.lake import LakeResource
from resources.machine import MachineResource

_SEED_DIGITS = 8


def feature_checks(market: Market) -> Sequence[dg.AssetChecksDefinition]:
    """One suite for each feature table of the market."""
    return [_suite(market, features) for features in registry_of(market).sets]


def _suite(market: Market, features: FeatureSet) -> dg.AssetChecksDefinition:
    asset = key_of(market, features.name)

    @dg.multi_asset_check(
        name=f"{market.name}_{features.name}_suite",
        specs=[_spec(asset, rule) for rule in RULES],
        description=f"Rules of {features.name} over the sessions of the run.",
    )
    def suite(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, machine: MachineResource
    ) -> Iterable[dg.AssetCheckResult]:
        # Another run tries other symbols and other cuts; the seed is shown, so that it can be tried again.
        seed = int(digest_json(context.run.run_id)[:_SEED_DIGITS], 16)
        with reacting(context):
            publisher = FeaturePublisher(market=market, features=features, lake=lake.open(), threads=machine.threads)
            judgements = judge_features(publisher, sessions_checked(context, market), seed=seed)
        yield from (_result(asset, each, seed) for each in judgements)

    return suite


def _spec(asset: dg.AssetKey, rule: FeatureRule) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(rule.name, asset=asset, blocking=rule.blocking, description=f"{rule.expects}.")


def _result(asset: dg.AssetKey, judgement: Judgement, seed: int) -> dg.AssetCheckResult:
    rule, broken = judgement.rule, judgement.broken
    examples = {"examples": records(broken.examples)} if broken is not None and broken.examples else {}
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=rule.name,
        passed=broken is None,
        severity=dg.AssetCheckSeverity.ERROR if rule.blocking else dg.AssetCheckSeverity.WARN,
        description="Held." if broken is None else f"{broken.found} Expected: {rule.expects}.",
        # As text: a number would be drawn as a curve.
        metadata={"seed": str(seed), **examples},
    )
