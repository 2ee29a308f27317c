"""What every command needs: settings, markets, the lake."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from runpy import run_path
from typing import NamedTuple

from rich.console import Console

from quant_pipelines.clock import SystemClock
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.feature_tables import market_features
from quant_pipelines.features.custom import CustomFeature
from quant_pipelines.features.registry import FeatureRegistry
from quant_pipelines.labels import LABEL_SETS
from quant_pipelines.lake import Lake
from quant_pipelines.markets import Market, load_markets
from quant_pipelines.settings import Settings
from quant_pipelines.strategies import Known, Strategy, load_strategies

console = Console(highlight=False, soft_wrap=True)

CUSTOM_FEATURES_FILE = "custom_features.py"


class CustomFeatures(NamedTuple):
    """The user's features, and windows of indicators."""

    features: Sequence[CustomFeature]
    windows: Mapping[str, tuple[tuple[int, ...], ...]]


class UnknownMarket(OperatorActionRequired):
    """A market name that markets.yaml does not have."""

    code = "QP105"


def all_markets(settings: Settings) -> dict[str, Market]:
    return load_markets(settings.markets_path, liquid_symbols=settings.liquid_symbols)


def market_named(settings: Settings, name: str) -> Market:
    known = all_markets(settings)
    if name not in known:
        raise UnknownMarket(f"{settings.markets_path} has no market {name!r}. It has: {', '.join(known)}.")
    return known[name]


def open_lake(settings: Settings) -> Lake:
    if not settings.lake_root.startswith("s3://"):
        Path(settings.lake_root).mkdir(parents=True, exist_ok=True)
    return Lake(settings.lake_root, clock=SystemClock(), storage_options=settings.lake_options)


def custom_features(settings: Settings) -> CustomFeatures:
    """What the user registered in custom_features.py.

    Run under the module's own name, since a function's module is a part of its feature's definition.
    """
    path = settings.project / CUSTOM_FEATURES_FILE
    if not path.is_file():
        return CustomFeatures((), {})
    found = run_path(str(path), run_name=path.stem)
    return CustomFeatures(found["FEATURES"], found["INDICATOR_WINDOWS"])


def known_names(settings: Settings) -> Known:
    """What a strategy may name in this project."""
    custom = custom_features(settings)

    @cache
    def features(market: Market) -> FeatureRegistry:
        return market_features(market, custom.features, windows=custom.windows)

    return Known(markets=all_markets(settings), features=features, label_sets=LABEL_SETS)


def all_strategies(settings: Settings) -> dict[str, Strategy]:
    return load_strategies(settings.strategies_path, known_names(settings))
