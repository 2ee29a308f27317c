"""The jobs that schedules and sensors launch."""

from collections.abc import Mapping, Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from assets.keys import FEATURES, INGEST, MODEL, PRICES, RAW_BARS, RESEARCH, SNAPSHOT, key_of
from quant_pipelines.calendars import Session, partition_key, session_key
from quant_pipelines.digest import digest_json
from quant_pipelines.markets import Market
from quant_pipelines.sources import Watermark
from quant_pipelines.strategies import Strategy

WATERMARK_TAG = "quant_pipelines/watermark"
MARKET_TAG = "quant_pipelines/market"
_FAILED = frozenset({dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED})
_RUNS_LOOKED_AT = 20


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


def build_job_name(market: Market) -> str:
    return f"build_{market.name}"


def build_job(market: Market) -> UnresolvedAssetJobDefinition:
    """Everything that a market has by the session, in one run over any range."""
    selection = dg.AssetSelection.groups(INGEST, FEATURES, RESEARCH) & dg.AssetSelection.key_prefixes([market.name])
    return dg.define_asset_job(
        build_job_name(market),
        selection=selection,
        description=f"Build everything of {market.name} over a range of sessions, checks included.",
        tags={MARKET_TAG: market.name},
    )


def train_job_name(market: Market) -> str:
    return f"train_{market.name}"


def train_jobs(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[UnresolvedAssetJobDefinition]:
    """Freeze a snapshot and train on it, for a cutoff and a strategy; none where a market has no strategies."""
    if not strategies:
        return []
    chosen = (key_of(market, SNAPSHOT), key_of(market, MODEL))
    return [
        dg.define_asset_job(
            train_job_name(market),
            selection=dg.AssetSelection.assets(*chosen) | dg.AssetSelection.checks_for_assets(*chosen),
            description=f"Train a strategy of {market.name} on what was known at the close of a session.",
            tags={MARKET_TAG: market.name},
        )
    ]


def refresh_request(market: Market, sessions: Sequence[Session], *, mark: str, attempt: int = 0) -> dg.RunRequest:
    """One run over the sessions; the mark says for which state of the source."""
    first, last = (partition_key(market.sessions_calendar, each) for each in (sessions[0], sessions[-1]))
    return dg.RunRequest(
        run_key=f"{market.name}:{first}:{last}:{mark}:{attempt}",
        job_name=refresh_job_name(market),
        tags={
            ASSET_PARTITION_RANGE_START_TAG: first,
            ASSET_PARTITION_RANGE_END_TAG: last,
            MARKET_TAG: market.name,
            WATERMARK_TAG: mark,
        },
    )


def mark_of(watermark: Watermark, last_closed: Session) -> str:
    """A state of the source as far as it can be used: a bar that was there before its close is new after it."""
    return digest_json([watermark.token, session_key(last_closed)])


def launches(instance: dg.DagsterInstance, market: Market, mark: str) -> tuple[int, bool]:
    """How many runs of this state failed, and whether one of them succeeded or may still."""
    tags = {MARKET_TAG: market.name, WATERMARK_TAG: mark}
    statuses = [run.status for run in instance.get_runs(filters=dg.RunsFilter(tags=tags), limit=_RUNS_LOOKED_AT)]
    failed = sum(status in _FAILED for status in statuses)
    return failed, failed < len(statuses)
