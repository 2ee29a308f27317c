"""raw_bars and prices of one market."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from assets.automation import follow_upstream
from assets.keys import INGEST, PRICES, RAW_BARS, key_of
from assets.metadata import column_schema, line_plot, preview, records, rows_by_session, span_of
from assets.partitions import closed_sessions_of, session_partitions
from assets.reactions import reacting
from assets.recording import inputs_of, record_sessions, recorded
from quant_pipelines.calendars import Session, session_key
from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Commit, tables
from quant_pipelines.markets import Market
from quant_pipelines.prices import REFERENCE_SESSIONS, Collected, Collector, Published, Publisher, chunks, market_curve
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.sources import SourcesResource

# A session's reference price is the last traded close before it, so a corrected bar makes later sessions stale too.
REFERENCE_MAPPING = dg.TimeWindowPartitionMapping(
    start_offset=-REFERENCE_SESSIONS, allow_nonexistent_upstream_partitions=True
)
PREVIEW_COLUMNS = ("session", "symbol", "open", "high", "low", "close", "volume", "factor", "suspended", "limit_up")


def price_assets(market: Market) -> Sequence[dg.AssetsDefinition]:
    """The first two tables of a market."""
    return _raw_bars(market), _prices(market)


def _raw_bars(market: Market) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(market, RAW_BARS),
        group_name=INGEST,
        description=f"{tables.RAW_BARS.description}\n\n{market.description}",
        partitions_def=session_partitions(market),
        backfill_policy=dg.BackfillPolicy.single_run(),
        code_version="1",
        owners=[market.owner],
        kinds={"parquet", "deltalake"},
        tags={"market": market.name},
        metadata=column_schema(tables.RAW_BARS),
        pool=f"collect_{market.name}",
    )
    def raw_bars(
        context: dg.AssetExecutionContext, lake: LakeResource, lineage: LineageResource, sources: SourcesResource
    ) -> dg.MaterializeResult:
        with reacting(context):
            window = closed_sessions_of(context, market)
            collector = Collector(
                market=market, answering=sources.answering(market), lake=lake.open(), clock=SystemClock()
            )
            record = lineage.open().record
            for chunk in chunks(market.sessions_calendar, window):
                collected = collector.collect(
                    chunk, writer=lake.writer(context), fence=lake.fence(context), record=record
                )
                table = collector.lake.table(market.name, tables.RAW_BARS)
                record_sessions(
                    context,
                    chunk,
                    versions=table.session_ids(chunk, as_of=collected.commit.version),
                    metadata=_collected_metadata(collected),
                    by_session=_row_counts(collected.bars),
                    inputs=(),
                )
        return recorded(context)

    return raw_bars


def _prices(market: Market) -> dg.AssetsDefinition:
    upstream = key_of(market, RAW_BARS)

    @dg.asset(
        key=key_of(market, PRICES),
        deps=[dg.AssetDep(upstream, partition_mapping=REFERENCE_MAPPING)],
        group_name=INGEST,
        description=f"{tables.PRICES.description}\n\n{market.description}",
        partitions_def=session_partitions(market),
        backfill_policy=dg.BackfillPolicy.single_run(),
        automation_condition=follow_upstream(),
        code_version="1",
        owners=[market.owner],
        kinds={"parquet", "deltalake"},
        tags={"market": market.name},
        metadata=column_schema(tables.PRICES),
        # One publication of a market at a time: its list of restatements is read, extended and written.
        pool=f"publish_{market.name}",
    )
    def prices(
        context: dg.AssetExecutionContext, lake: LakeResource, lineage: LineageResource, sources: SourcesResource
    ) -> dg.MaterializeResult:
        with reacting(context):
            window = closed_sessions_of(context, market)
            store = lake.open()
            source = sources.answering(market).source
            publisher = Publisher(
                market=market,
                listings=source.listings(),
                prices_are_raw=source.prices_are_raw,
                lake=store,
                clock=SystemClock(),
            )
            raw = store.table(market.name, tables.RAW_BARS)
            record = lineage.open().record
            for chunk in chunks(market.sessions_calendar, window):
                inputs = inputs_of(context, {upstream: raw.session_ids(chunk)})
                published = publisher.publish(
                    chunk, writer=lake.writer(context), fence=lake.fence(context), record=record
                )
                table = store.table(market.name, tables.PRICES)
                record_sessions(
                    context,
                    chunk,
                    versions=table.session_ids(chunk, as_of=published.commit.version),
                    metadata=_published_metadata(published),
                    by_session=_row_counts(published.prices),
                    inputs=inputs,
                )
        return recorded(context)

    return prices


def _row_counts(table: pa.Table) -> dict[Session, dict[str, Any]]:
    """What belongs to one session, where the rest of the metadata is about all that was written with it."""
    counts = rows_by_session(table)
    return {session: {"rows": count, "dagster/partition_row_count": count} for session, count in counts.items()}


def _shape(table: pa.Table, commit: Commit) -> dict[str, Any]:
    return {
        "rows": 0,
        "rows_written_together": table.num_rows,
        "symbols": len(table["symbol"].unique()),
        "span": span_of(table),
        "table_version": commit.version,
        "sessions_changed": len(commit.changed),
        "sessions_equal": commit.unchanged,
    }


def _collected_metadata(collected: Collected) -> dict[str, Any]:
    return {
        **_shape(collected.bars, collected.commit),
        "source": collected.source,
        "degraded": collected.degraded or "no",
        "quarantined": collected.quarantined,
        "preview": preview(collected.bars),
    }


def _published_metadata(published: Published) -> dict[str, Any]:
    prices = published.prices
    sessions, curve = market_curve(prices)
    plot = {}
    if len(sessions):
        ends = session_key(sessions[0]), session_key(sessions[-1])
        plot["curve"] = line_plot("equal-weight adjusted close, start = 1", curve, first=ends[0], last=ends[1])
    return {
        **_shape(prices, published.commit),
        "suspended": int(np.count_nonzero(prices["suspended"])),
        "quarantined": published.quarantined,
        "restated": published.restatements.num_rows,
        **plot,
        **({"findings": records(findings)} if (findings := published.findings.table()) else {}),
        "preview": preview(prices, columns=PREVIEW_COLUMNS),
        **({"restatements": preview(published.restatements)} if published.restatements.num_rows else {}),
    }
