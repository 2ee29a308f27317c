"""model_monitoring of one market: is what serves still right, fast, and given what it was trained on? (S2-87)"""

import resource
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import dagster as dg

from assets.keys import GOVERNANCE, MODEL_MONITORING, PREDICTION_ERRORS, PREDICTIONS, key_of
from assets.metadata import column_schema, records
from assets.partitions import session_partitions
from assets.predictions import RESPONSE_MS, SERVED
from assets.reactions import reacting
from assets.recording import inputs_of, record_sessions, recorded
from assets.upstream import Newest, newest
from quant_pipelines.calendars import Session, parse_session
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.lake import Lake, Window
from quant_pipelines.markets import Market
from quant_pipelines.monitoring import MODEL_MONITORING as TABLE
from quant_pipelines.monitoring import Reading, judge, rows_of
from quant_pipelines.predictions import PREDICTIONS as PREDICTED
from quant_pipelines.predictions import Watch
from quant_pipelines.strategies import Strategy
from resources.journal import JournalResource
from resources.lake import LakeResource
from resources.monitoring import MonitoringResource
from resources.snapshots import SnapshotsResource

FORMAT = "1"
_KB_IN_A_GB, _BYTES_IN_A_GB = 1e6, 1e9


def monitoring_assets(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[dg.AssetsDefinition]:
    """One table for each market that has strategies."""
    if not strategies:
        return []
    predictions, errors = key_of(market, PREDICTIONS), key_of(market, PREDICTION_ERRORS)

    @dg.asset(
        key=key_of(market, MODEL_MONITORING),
        deps=[predictions, errors],
        group_name=GOVERNANCE,
        description=f"{TABLE.description} What is beyond its limit becomes an alert.\n\n{market.description}",
        partitions_def=session_partitions(market),
        backfill_policy=dg.BackfillPolicy.single_run(),
        code_version=FORMAT,
        owners=[market.owner],
        kinds={"parquet", "deltalake"},
        tags={"market": market.name},
        metadata=column_schema(TABLE),
        pool=f"predictions_{market.name}",
    )
    def model_monitoring(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        journal: JournalResource,
        snapshots: SnapshotsResource,
        monitoring: MonitoringResource,
    ) -> dg.MaterializeResult:
        with reacting(context):
            store, book = lake.open(), journal.open()
            watch = Watch(
                market=market, lake=store, journal=book, snapshots=snapshots.open(), sessions=monitoring.sessions
            )
            table = store.table(market.name, TABLE)
            failures: list[QuantPipelinesError] = []
            for partition in context.partition_keys:
                session = parse_session(partition)
                window = Window(session, session)
                inputs = inputs_of(context, {key: _ids(store, market, key, window) for key in (predictions, errors)})
                times = _response_ms(newest(context, predictions, partition))
                readings = watch.readings(list(strategies), session, times)
                failures += readings.failures
                # Before they are published: whoever dies in between raises them when the session is made again.
                if session == _newest_session(store, market):
                    limits, actor = monitoring.limits(), f"run:{context.run.run_id}"
                    judge(book, market.name, session, readings.found, limits, actor=actor)
                rows = rows_of(readings.found)
                table.replace(rows, window=window, writer=lake.writer(context), fence=lake.fence(context))
                record_sessions(
                    context,
                    window,
                    versions=table.session_ids(window),
                    metadata=_resources(monitoring),
                    by_session={session: _metadata(readings.found, monitoring)},
                    inputs=inputs,
                )
            # Everybody else was read, judged and told of by now.
            if failures:
                raise failures[0]
        return recorded(context)

    return [model_monitoring]


def _ids(lake: Lake, market: Market, key: dg.AssetKey, window: Window) -> Mapping[Session, str]:
    table = lake.stored(market.name, key.path[-1])
    return {} if table is None else table.session_ids(window)


def _newest_session(lake: Lake, market: Market) -> Session | None:
    """The last session that was scored: what was read of an older one is history, and alarms nobody."""
    table = lake.stored(market.name, PREDICTED.name)
    return None if table is None else max(table.session_ids(), default=None)


def _response_ms(found: Newest | None) -> Mapping[str, list[float]]:
    """How long the session's answers took, by strategy."""
    times: dict[str, list[float]] = {}
    served = None if found is None else found.metadata.get(SERVED)
    for row in served.records if isinstance(served, dg.TableMetadataValue) else ():
        taken = row.data.get(RESPONSE_MS)
        if isinstance(taken, int | float):
            times.setdefault(str(row.data["strategy"]), []).append(taken)
    return times


def _resources(monitoring: MonitoringResource) -> dict[str, float]:
    """What the run has used of this machine, in gigabytes (S2-87)."""
    return {
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KB_IN_A_GB, 3),
        "free_disk_gb": round(shutil.disk_usage(monitoring.home).free / _BYTES_IN_A_GB, 1),
    }


def _metadata(readings: Sequence[Reading], monitoring: MonitoringResource) -> dict[str, Any]:
    most = {each.metric.name: each.most for each in monitoring.limits()}
    return {
        "rows": len(readings),
        "readings": records([{**asdict(each), "most": most[each.metric]} for each in readings]),
        **{f"{each.metric}_{each.strategy}": each.value for each in readings if each.value is not None},
    }
