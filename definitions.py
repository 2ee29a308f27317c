"""The composition root: what there is, made once per market of markets.yaml."""

from collections.abc import Callable, Iterable
from typing import Any

import dagster as dg

from assets import makers
from assets.checks import makers as check_makers
from assets.strategies import strategies_by_market
from quant_pipelines.markets import load_markets
from quant_pipelines.settings import Settings
from resources import project_resources
from sensors.alerts import tell_alerts
from sensors.arrivals import arrival_sensor, watches_files
from sensors.dead_runs import sweep_dead_runs
from sensors.events import event_sensors
from sensors.follow import follow_data
from sensors.incidents import record_failed_runs, record_failed_ticks
from sensors.jobs import build_job, refresh_job, strategy_jobs
from sensors.refresh import refresh_schedule
from sensors.serving import serving_sensors
from sensors.tracked_runs import tracked_run_sensors
from sensors.triggers import trigger_sensors

settings = Settings()
markets = tuple(load_markets(settings.markets_path, liquid_symbols=settings.liquid_symbols).values())
strategies = strategies_by_market(settings, markets)


def by_market(*each_of: Callable[..., Iterable[Any]]) -> list[Any]:
    """What each of them makes of each market."""
    return [made for market in markets for make in each_of for made in make(market)]


def by_strategies(*each_of: Callable[..., Iterable[Any]]) -> list[Any]:
    """What each of them makes of each market's strategies."""
    return [made for market in markets for make in each_of for made in make(market, strategies[market.name])]


defs = dg.Definitions(
    assets=[*by_market(*makers.OF_MARKETS), *by_strategies(*makers.OF_STRATEGIES)],
    asset_checks=[*by_market(*check_makers.OF_MARKETS), *by_strategies(*check_makers.OF_STRATEGIES)],
    jobs=[*(make(market) for market in markets for make in (refresh_job, build_job)), *by_strategies(strategy_jobs)],
    schedules=[refresh_schedule(market) for market in markets],
    sensors=[
        follow_data,
        record_failed_runs,
        record_failed_ticks,
        sweep_dead_runs,
        tell_alerts,
        *tracked_run_sensors(strategies),
        *(arrival_sensor(market) for market in markets if watches_files(market)),
        *by_strategies(trigger_sensors, serving_sensors, event_sensors),
    ],
    resources=project_resources(settings),
    # One process per run: it starts in seconds, and whoever kills it kills its only writer (target R2).
    executor=dg.in_process_executor,
)
