"""The jobs that schedules and sensors launch."""

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from assets.keys import PRICES, RAW_BARS, key_of
from assets.partitions import partition_key
from quant_pipelines.calendars import Session
from quant_pipelines.markets import Market

WATERMARK_TAG = "quant_pipelines/watermark"
MARKET_TAG = "quant_pipelines/market"


def refresh_job_name(market: Market) -> str:
    return f"refresh_{market.name}"


def refresh_job(market: Market) -> UnresolvedAssetJobDefinition:
    """Fetch bars, judge them, publish prices; the checks run along."""
    selection = dg.AssetSelection.assets(key_of(market, RAW_BARS), key_of(market, PRICES))
    return dg.define_asset_job(
        refresh_job_name(market),
        selection=selection | dg.AssetSelection.checks_for_assets(key_of(market, RAW_BARS), key_of(market, PRICES)),
        description=f"Refresh the prices of {market.name}: {market.description}",
        tags={MARKET_TAG: market.name},
    )


def refresh_request(market: Market, sessions: Sequence[Session], *, watermark: str) -> dg.RunRequest:
    """One run over the sessions, launched at most once per watermark."""
    first, last = partition_key(market, sessions[0]), partition_key(market, sessions[-1])
    return dg.RunRequest(
        run_key=f"{market.name}:{first}:{last}:{watermark}",
        job_name=refresh_job_name(market),
        tags={
            ASSET_PARTITION_RANGE_START_TAG: first,
            ASSET_PARTITION_RANGE_END_TAG: last,
            MARKET_TAG: market.name,
            WATERMARK_TAG: watermark,
        },
    )


def already_launched(instance: dg.DagsterInstance, market: Market, watermark: str) -> bool:
    """Whether this state of the source has been asked for before."""
    tags = {MARKET_TAG: market.name, WATERMARK_TAG: watermark}
    return bool(instance.get_runs(filters=dg.RunsFilter(tags=tags), limit=1))
