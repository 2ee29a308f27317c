"""What is asked of what serves: that nothing that is watched is beyond its limit (S2-118)."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa
from dagster._core.storage.tags import PARTITION_NAME_TAG

from assets.keys import MODEL_MONITORING, key_of
from assets.metadata import records
from assets.reactions import reacting
from quant_pipelines.calendars import Session, parse_session, session_key
from quant_pipelines.lake import Lake, Window
from quant_pipelines.markets import Market
from quant_pipelines.monitoring import METRICS, Metric
from quant_pipelines.monitoring import MODEL_MONITORING as TABLE
from quant_pipelines.strategies import Strategy
from resources.lake import LakeResource
from resources.monitoring import MonitoringResource


def monitoring_checks(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.AssetChecksDefinition]:
    """One for each metric, in each market that has strategies."""
    return [_check(market, metric) for metric in METRICS] if strategies else []


def _check(market: Market, metric: Metric) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=key_of(market, MODEL_MONITORING),
        name=metric.name,
        description=f"{metric.description} Too little to be read is no evidence.",
    )
    def check(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, monitoring: MonitoringResource
    ) -> dg.AssetCheckResult:
        with reacting(context):
            session = _session(context, lake.open(), market)
            rows = [] if session is None else _rows(lake.open(), market, session, metric)
        (most,) = (each.most for each in monitoring.limits() if each.metric == metric)
        known = [each for each in rows if each["value"] is not None]
        beyond = [each for each in known if each["value"] > most]
        told = "nothing was read" if session is None else f"{len(known)} strategies read at {session_key(session)}"
        return dg.AssetCheckResult(
            passed=not beyond,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{told}, {len(beyond)} of them beyond {most:g}." + (f" {metric.advice}" if beyond else ""),
            metadata={"most": most, "priority": metric.priority.value, "readings": records(rows)},
        )

    return check


def _session(context: dg.AssetCheckExecutionContext, lake: Lake, market: Market) -> Session | None:
    """The run's own; the newest where a person runs the checks alone."""
    partition = context.run.tags.get(PARTITION_NAME_TAG)
    if partition:
        return parse_session(partition)
    table = lake.stored(market.name, TABLE.name)
    return None if table is None else max(table.session_ids(), default=None)


def _rows(lake: Lake, market: Market, session: Session, metric: Metric) -> list[dict[str, Any]]:
    table = lake.stored(market.name, TABLE.name)
    rows: pa.Table = TABLE.arrow.empty_table() if table is None else table.read(Window(session, session))
    return [each for each in rows.to_pylist() if each["metric"] == metric.name]
