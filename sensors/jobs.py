"""The jobs that schedules and sensors launch."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from assets.checks.replay import replay_key
from assets.keys import (
    DECISION,
    EXPLANATION,
    FEATURES,
    HOLDOUT_EVALUATION,
    INGEST,
    MODEL,
    MODEL_MONITORING,
    PREDICTIONS,
    PRICES,
    RAW_BARS,
    RESEARCH,
    ROLLOUT,
    SEARCH,
    SNAPSHOT,
    key_of,
)
from quant_pipelines.calendars import Session, partition_key, session_key
from quant_pipelines.digest import digest_json
from quant_pipelines.markets import Market
from quant_pipelines.sources import Watermark
from quant_pipelines.strategies import Strategy

WATERMARK_TAG = "quant_pipelines/watermark"
MARKET_TAG = "quant_pipelines/market"
# A hiccup is gone at the next look; what fails three times waits for a person.
ATTEMPTS = 3
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


def tune_job_name(market: Market) -> str:
    return f"tune_{market.name}"


def predict_job_name(market: Market) -> str:
    return f"predict_{market.name}"


def rollout_job_name(market: Market) -> str:
    return f"rollout_{market.name}"


_Row = tuple[Callable[[Market], str], Sequence[str], str]
# What each job of a market with strategies makes, and what for.
_TRAINING: Sequence[_Row] = (
    (
        train_job_name,
        (SNAPSHOT, MODEL, HOLDOUT_EVALUATION, DECISION, ROLLOUT),
        "Train a strategy of {market} on what was known at a close, judge it, decide, and begin its rollout.",
    ),
    (
        tune_job_name,
        (SNAPSHOT, SEARCH, MODEL, EXPLANATION, HOLDOUT_EVALUATION, DECISION, ROLLOUT),
        "As train_{market}, with a search before it (the model takes what it found: `from_search`) and an explanation.",
    ),
)
_SERVING: Sequence[_Row] = (
    (
        predict_job_name,
        (PREDICTIONS, MODEL_MONITORING),
        "Score sessions of {market} with whatever was live at their close, and read how it does.",
    ),
    (rollout_job_name, (ROLLOUT,), "Make the next move of a rollout in {market}, or say why there is none."),
)


def replay_job_name(market: Market) -> str:
    return f"replay_{market.name}"


def strategy_jobs(market: Market, strategies: Mapping[str, Strategy]) -> Sequence[UnresolvedAssetJobDefinition]:
    """Training with all that follows from it, predictions, moves of rollouts, and replays; none without strategies."""
    return [*training_jobs(market), *_jobs(market, _SERVING), replay_job(market)] if strategies else []


def replay_job(market: Market) -> UnresolvedAssetJobDefinition:
    """A past training once more, whose check is the comparison (S1-30)."""
    return dg.define_asset_job(
        replay_job_name(market),
        selection=dg.AssetSelection.checks(replay_key(market)),
        description=f"Train a stored version of {market.name} again and compare its measures with those on record: "
        "the one that `backtest_run_id` has made, or the newest.",
        tags={MARKET_TAG: market.name},
    )


@cache
def training_jobs(market: Market) -> Sequence[UnresolvedAssetJobDefinition]:
    """With the strategy's own settings, and with those that a search finds.

    Dagster knows the jobs of a sensor by identity, so there is one of each.
    """
    return _jobs(market, _TRAINING)


def _jobs(market: Market, rows: Sequence[_Row]) -> Sequence[UnresolvedAssetJobDefinition]:
    return [_job(market, name(market), assets, told) for name, assets, told in rows]


def _job(market: Market, name: str, assets: Sequence[str], told: str) -> UnresolvedAssetJobDefinition:
    chosen = [key_of(market, each) for each in assets]
    selection = dg.AssetSelection.assets(*chosen) | dg.AssetSelection.checks_for_assets(*chosen)
    return dg.define_asset_job(
        name,
        # A replay would train a second time what was just trained.
        selection=selection - dg.AssetSelection.checks(replay_key(market)),
        description=told.format(market=market.name),
        tags={MARKET_TAG: market.name},
    )


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


def launches(instance: dg.DagsterInstance, tags: Mapping[str, str]) -> tuple[int, bool]:
    """How many runs with these tags failed, and whether one of them succeeded or may still."""
    statuses = [run.status for run in instance.get_runs(filters=dg.RunsFilter(tags=tags), limit=_RUNS_LOOKED_AT)]
    failed = sum(status in _FAILED for status in statuses)
    return failed, failed < len(statuses)
