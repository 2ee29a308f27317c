"""prediction_errors of one market: how far what was served was from what then came (S3-73)."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.automation import follow_upstream
from assets.keys import GOVERNANCE, LABELS, PREDICTION_ERRORS, PREDICTIONS, key_of
from assets.metadata import column_schema, records
from assets.partitions import session_partitions
from assets.reactions import reacting
from assets.recording import inputs_of, record_sessions, recorded
from quant_pipelines.calendars import Session, parse_session
from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Window
from quant_pipelines.markets import Market
from quant_pipelines.monitoring import PREDICTION_ERRORS as TABLE
from quant_pipelines.predictions import MarketErrors
from quant_pipelines.strategies import Strategy
from resources.lake import LakeResource

FORMAT = "1"


def prediction_error_assets(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.AssetsDefinition]:
    """One table for each market that has strategies."""
    if not strategies:
        return []
    upstream = [key_of(market, each) for each in (PREDICTIONS, LABELS)]

    @dg.asset(
        key=key_of(market, PREDICTION_ERRORS),
        deps=upstream,
        group_name=GOVERNANCE,
        description=f"{TABLE.description} Only of what served.\n\n{market.description}",
        partitions_def=session_partitions(market),
        backfill_policy=dg.BackfillPolicy.single_run(),
        automation_condition=follow_upstream(),
        code_version=FORMAT,
        owners=[market.owner],
        kinds={"parquet", "deltalake"},
        tags={"market": market.name},
        metadata=column_schema(TABLE),
        pool=f"predictions_{market.name}",
    )
    def prediction_errors(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
        with reacting(context):
            errors = MarketErrors(market=market, lake=lake.open())
            closed = market.sessions_calendar.last_closed(SystemClock().now())
            for partition in context.partition_keys:
                session = parse_session(partition)
                window = Window(session, session)
                inputs = inputs_of(context, {key: errors.session_ids(key.path[-1], window) for key in upstream})
                found = errors.publish(
                    session, strategies.values(), through=closed, writer=lake.writer(context), fence=lake.fence(context)
                )
                record_sessions(
                    context,
                    window,
                    versions=errors.session_ids(TABLE.name, window),
                    metadata={},
                    by_session={session: _metadata(session, found)},
                    inputs=inputs,
                )
        return recorded(context)

    return [prediction_errors]


def _metadata(session: Session, found: Mapping[str, tuple[int, float | None]]) -> dict[str, Any]:
    """Each strategy's mean error of the session; none while its label is open."""
    del session
    return {
        "rows": sum(count for count, _ in found.values()),
        "errors": records(
            [{"strategy": name, "predictions": count, "mean_error": mean} for name, (count, mean) in found.items()]
        ),
        **{f"mean_error_{name}": mean for name, (_, mean) in found.items() if mean is not None},
    }
