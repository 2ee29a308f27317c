"""indicators, alpha158 and custom_features of one market."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import dagster as dg
import numpy as np

from assets.automation import follow_upstream
from assets.keys import FEATURES, PRICES, key_of
from assets.metadata import column_schema, line_plot, preview, records, rows_by_session, span_of
from assets.partitions import closed_sessions_of, session_partitions
from assets.reactions import reacting
from assets.recording import inputs_of, record_sessions, recorded
from custom_features import FEATURES as CUSTOM_FEATURES
from custom_features import INDICATOR_WINDOWS
from quant_pipelines.calendars import Session, session_key
from quant_pipelines.calendars.always_open import AlwaysOpen
from quant_pipelines.feature_tables import FeaturePublisher, Memory, PublishedFeatures, feature_schema, market_features
from quant_pipelines.features.registry import FeatureRegistry, FeatureSet
from quant_pipelines.markets import Market
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.machine import MachineResource

_PREVIEWED = 10
# Further than any hourly market's history reaches.
_ALL_SESSIONS = 100_000


@cache
def registry_of(market: Market) -> FeatureRegistry:
    """Every feature of the market, those of custom_features.py included."""
    return market_features(market, CUSTOM_FEATURES, windows=INDICATOR_WINDOWS)


def feature_assets(market: Market) -> Sequence[dg.AssetsDefinition]:
    """One table for each feature set of the market."""
    return [_table(market, features) for features in registry_of(market).sets]


def reach_mapping(market: Market, sessions: int | None) -> dg.TimeWindowPartitionMapping:
    """A session is made from itself and so many before it; None: from all of them."""
    if sessions is None:
        calendar = market.sessions_calendar
        alike = isinstance(calendar, AlwaysOpen)
        sessions = _ALL_SESSIONS if alike else len(calendar.sessions(market.begins, calendar.last_known))
    return dg.TimeWindowPartitionMapping(start_offset=-sessions, allow_nonexistent_upstream_partitions=True)


def _table(market: Market, features: FeatureSet) -> dg.AssetsDefinition:
    schema = feature_schema(features)
    upstream = key_of(market, PRICES)

    @dg.asset(
        key=key_of(market, features.name),
        deps=[dg.AssetDep(upstream, partition_mapping=reach_mapping(market, features.look_back_sessions))],
        group_name=FEATURES,
        description=f"{schema.description}\n\n{market.description}",
        partitions_def=session_partitions(market),
        backfill_policy=dg.BackfillPolicy.single_run(),
        automation_condition=follow_upstream(),
        code_version=features.version,
        owners=[market.owner],
        kinds={"parquet", "deltalake", "numba"},
        tags={"market": market.name},
        metadata={**column_schema(schema), "features": len(features.names), "registry": _registry(features)},
        pool=f"features_{market.name}_{features.name}",
    )
    def features_table(
        context: dg.AssetExecutionContext, lake: LakeResource, lineage: LineageResource, machine: MachineResource
    ) -> dg.MaterializeResult:
        with reacting(context):
            window = closed_sessions_of(context, market)
            publisher = FeaturePublisher(
                market=market, features=features, lake=lake.open(), threads=machine.threads, memory=Memory()
            )
            record = lineage.open().record
            for chunk in publisher.chunks(window):
                inputs = inputs_of(context, {upstream: publisher.prices.session_ids(chunk)})
                published = publisher.publish(
                    chunk, writer=lake.writer(context), fence=lake.fence(context), record=record
                )
                if published.damaged:
                    context.log.warning("Computed anew, since what was there is damaged: %s", published.damaged)
                record_sessions(
                    context,
                    chunk,
                    versions=publisher.table.session_ids(chunk),
                    metadata=_metadata(published, features),
                    by_session=_by_session(published),
                    inputs=inputs,
                )
        return recorded(context)

    return features_table


def _registry(features: FeatureSet) -> dg.TableMetadataValue:
    """What each column is (S2-89)."""
    rows = FeatureRegistry([features]).table().to_pylist()
    return records([{name: _text(value) for name, value in row.items()} for row in rows])


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else "all" if value is None else str(value)


def _by_session(published: PublishedFeatures) -> Mapping[Session, Mapping[str, Any]]:
    computed = rows_by_session(published.rows)
    return {
        session: {"computed": "yes", "rows": rows, "dagster/partition_row_count": rows}
        for session, rows in computed.items()
    }


def _metadata(published: PublishedFeatures, features: FeatureSet) -> dict[str, Any]:
    """About all that was computed together; a session that was fresh already says so."""
    rows = published.rows
    facts = {
        "computed": "no, it was fresh",
        "sessions_computed_together": len(published.computed),
        "features": len(features.names),
        "definitions": features.version,
    }
    if rows.num_rows == 0:
        return facts
    sessions, shares = _coverage(published, features)
    ends = {"first": session_key(sessions[0]), "last": session_key(sessions[-1])}
    return facts | {
        "symbols": len(rows["symbol"].unique()),
        "span": span_of(rows),
        "filled": f"{np.mean(shares):.1%} of all values",
        "coverage": line_plot("share of features with a value", shares, **ends),
        "preview": preview(rows, columns=rows.column_names[:_PREVIEWED]),
    }


def _coverage(published: PublishedFeatures, features: FeatureSet) -> tuple[list[Session], np.ndarray]:
    """Sessions, and the share of cells that have a value in each."""
    rows = published.rows
    labels, starts = np.unique(rows["session"].to_numpy(), return_index=True)
    known = np.zeros(rows.num_rows, np.int32)
    for name in features.names:
        known += rows[name].is_valid().to_numpy() & ~np.isnan(rows[name].to_numpy())
    per_session = np.add.reduceat(known, starts) / np.diff(np.append(starts, rows.num_rows))
    return labels.astype("datetime64[us]").astype(object).tolist(), per_session / len(features.names)
