"""What is asked of serving: that versions answer in time."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.keys import PREDICTIONS, key_of
from assets.metadata import records
from assets.predictions import RESPONSE_MS, SERVED
from assets.reactions import reacting
from quant_pipelines.markets import Market
from quant_pipelines.monitoring import slo_report
from quant_pipelines.strategies import Strategy
from resources.slo import SloResource

SLO_REPORT = "slo_report"
_SLOWEST = 5


def prediction_checks(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.AssetChecksDefinition]:
    """One for each market that has strategies."""
    if not strategies:
        return []
    asset = key_of(market, PREDICTIONS)

    @dg.asset_check(
        asset=asset,
        name=SLO_REPORT,
        description="Versions answer in time: the 95th percentile of their response times over the last scorings, "
        "against the objective. Too few of them are no evidence (S1-44).",
    )
    def check(context: dg.AssetCheckExecutionContext, slo: SloResource) -> dg.AssetCheckResult:
        with reacting(context):
            answers = _answers(context.instance, asset, slo.sessions)
            found = slo_report([each[RESPONSE_MS] for each in answers], slo.objective())
        told = "too few answers to be judged" if found.p95_ms is None else f"p95 is {found.p95_ms:.0f} ms"
        percentiles = {"p50_ms": found.p50_ms, "p95_ms": found.p95_ms, "p99_ms": found.p99_ms}
        slowest = sorted(answers, key=lambda each: each[RESPONSE_MS], reverse=True)[:_SLOWEST]
        return dg.AssetCheckResult(
            passed=found.status != "violated",
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{found.status}: {told}, {found.observations} answers; {slo.p95_ms:.0f} ms is asked of "
            f"{slo.least_observations} or more.",
            metadata={
                "status": found.status,
                "observations": found.observations,
                "slo_p95_ms": slo.p95_ms,
                "least_observations": slo.least_observations,
                **{name: value for name, value in percentiles.items() if value is not None},
                "slowest": records(slowest),
            },
        )

    return [check]


def _answers(instance: dg.DagsterInstance, asset: dg.AssetKey, scorings: int) -> list[dict[str, Any]]:
    """What the last scorings measured, each with its session and version; older ones measured nothing."""
    events = [each.asset_materialization for each in instance.fetch_materializations(asset, limit=scorings).records]
    return [
        {"session": event.partition or "", "version": row.data["version"], RESPONSE_MS: row.data[RESPONSE_MS]}
        for event in events
        if event is not None and isinstance(served := event.metadata.get(SERVED), dg.TableMetadataValue)
        for row in served.records
        if RESPONSE_MS in row.data
    ]
