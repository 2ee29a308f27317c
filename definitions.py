"""The composition root: what there is, made once per market of markets.yaml."""

from collections.abc import Callable, Iterable
from typing import Any

import dagster as dg

from assets.checks.features import feature_checks
from assets.checks.labels import label_checks
from assets.checks.models import model_checks
from assets.checks.prices import price_checks
from assets.checks.snapshots import snapshot_checks
from assets.comparison import comparison_assets
from assets.data_versions import data_version_assets
from assets.explain import explanation_assets
from assets.factor_report import factor_report_assets
from assets.features import feature_assets
from assets.labels import label_assets
from assets.models import model_assets
from assets.prices import price_assets
from assets.search import search_assets
from assets.snapshots import snapshot_assets
from assets.strategies import strategies_by_market
from quant_pipelines.markets import load_markets
from quant_pipelines.settings import Settings
from resources import project_resources
from sensors.arrivals import arrival_sensor, watches_files
from sensors.dead_runs import sweep_dead_runs
from sensors.follow import follow_data
from sensors.incidents import record_failed_runs, record_failed_ticks
from sensors.jobs import build_job, refresh_job, train_jobs
from sensors.refresh import refresh_schedule

settings = Settings()
markets = tuple(load_markets(settings.markets_path, liquid_symbols=settings.liquid_symbols).values())
strategies = strategies_by_market(settings, markets)


def by_market(*makers: Callable[..., Iterable[Any]]) -> list[Any]:
    """What each of them makes of each market."""
    return [made for market in markets for make in makers for made in make(market)]


def by_strategies(*makers: Callable[..., Iterable[Any]]) -> list[Any]:
    """What each of them makes of each market's strategies."""
    return [made for market in markets for make in makers for made in make(market, strategies[market.name])]


defs = dg.Definitions(
    assets=[
        *by_market(price_assets, feature_assets, factor_report_assets, label_assets, data_version_assets),
        *by_strategies(snapshot_assets, search_assets, model_assets, explanation_assets, comparison_assets),
    ],
    asset_checks=[
        *by_market(price_checks, feature_checks, label_checks),
        *by_strategies(snapshot_checks, model_checks),
    ],
    jobs=[*(make(market) for market in markets for make in (refresh_job, build_job)), *by_strategies(train_jobs)],
    schedules=[refresh_schedule(market) for market in markets],
    sensors=[
        follow_data,
        record_failed_runs,
        record_failed_ticks,
        sweep_dead_runs,
        *(arrival_sensor(market) for market in markets if watches_files(market)),
    ],
    resources=project_resources(settings),
    # One process per run: it starts in seconds, and whoever kills it kills its only writer (target R2).
    executor=dg.in_process_executor,
)
