"""raw_bars and prices of one market."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from assets.automation import follow_upstream
from assets.keys import INGEST, PRICES, RAW_BARS, key_of
from assets.metadata import column_schema, line_plot, preview, records, rows_by_session, span_of
from assets.partitions import session_partitions, sessions_of
from assets.reactions import reacting
from assets.recording import record_sessions
from quant_pipelines.calendars import Session, session_key
from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Commit, tables
from quant_pipelines.markets import Market
from quant_pipelines.prices import REFERENCE_SESSIONS, Collector, Published, Publisher, market_curve
from resources.lake import LakeResource
from resources.sources import SourcesResource

# A year of sessions in one run: long enough that starting a process does not count, short enough that
# 5,000 symbols fit in memory and a failed chunk is repeated cheaply.
SESSIONS_PER_RUN = 250
SOURCE_POOL = "source"
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
        backfill_policy=dg.BackfillPolicy.multi_run(SESSIONS_PER_RUN),
        code_version="1",
        owners=[market.owner],
        kinds={"parquet", "deltalake"},
        tags={"market": market.name},
        metadata=column_schema(tables.RAW_BARS),
        pool=f"{SOURCE_POOL}_{market.name}",
    )
    def raw_bars(
        context: dg.AssetExecutionContext, lake: LakeResource, sources: SourcesResource
    ) -> dg.MaterializeResult:
        window = sessions_of(context)
        collector = Collector(
            market=market,
            source=sources.source(market),
            fallback=sources.fallback(market),
            lake=lake.open(),
            clock=SystemClock(),
        )
        with reacting(context):
            collected = collector.collect(window, writer=lake.writer(context), fence=lake.fence(context))
        metadata = {
            **_shape(collected.bars, collected.commit),
            "source": collected.source,
            "degraded": collected.degraded or "no",
            "preview": preview(collected.bars),
        }
        versions = lake.open().table(market.name, tables.RAW_BARS).session_ids(window)
        return record_sessions(
            context, versions=versions, metadata=metadata, by_session=_row_counts(collected.bars), inputs={}
        )

    return raw_bars


def _prices(market: Market) -> dg.AssetsDefinition:
    upstream = key_of(market, RAW_BARS)

    @dg.asset(
        key=key_of(market, PRICES),
        deps=[dg.AssetDep(upstream, partition_mapping=REFERENCE_MAPPING)],
        group_name=INGEST,
        description=f"{tables.PRICES.description}\n\n{market.description}",
        partitions_def=session_partitions(market),
        backfill_policy=dg.BackfillPolicy.multi_run(SESSIONS_PER_RUN),
        automation_condition=follow_upstream(),
        code_version="1",
        owners=[market.owner],
        kinds={"parquet", "deltalake"},
        tags={"market": market.name},
        metadata=column_schema(tables.PRICES),
    )
    def prices(context: dg.AssetExecutionContext, lake: LakeResource, sources: SourcesResource) -> dg.MaterializeResult:
        window = sessions_of(context)
        store = lake.open()
        raw_versions = store.table(market.name, tables.RAW_BARS).session_ids(window)
        source = sources.source(market)
        publisher = Publisher(
            market=market,
            listings=source.listings(),
            prices_are_raw=source.prices_are_raw,
            lake=store,
            clock=SystemClock(),
        )
        with reacting(context):
            published = publisher.publish(window, writer=lake.writer(context), fence=lake.fence(context))
        versions = store.table(market.name, tables.PRICES).session_ids(window)
        return record_sessions(
            context,
            versions=versions,
            metadata=_published_metadata(published),
            by_session=_row_counts(published.prices),
            inputs={upstream: raw_versions},
        )

    return prices


def _row_counts(table: pa.Table) -> dict[Session, dict[str, Any]]:
    return {session: {"dagster/partition_row_count": count} for session, count in rows_by_session(table).items()}


def _shape(table: pa.Table, commit: Commit) -> dict[str, Any]:
    return {
        "rows": table.num_rows,
        "symbols": len(table["symbol"].unique()),
        "span": span_of(table),
        "table_version": commit.version,
        "sessions_changed": len(commit.changed),
        "sessions_equal": commit.unchanged,
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
        "findings": records(published.findings.table()),
        "preview": preview(prices, columns=PREVIEW_COLUMNS),
        **({"restatements": preview(published.restatements)} if published.restatements.num_rows else {}),
        **plot,
    }
