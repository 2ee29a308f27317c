"""Every feature set of a market: what is published, and what models are trained and served on."""

from collections.abc import Mapping, Sequence

from quant_pipelines.calendars import sessions_per_year
from quant_pipelines.features.custom import CustomFeature, custom_set
from quant_pipelines.features.indicators.catalogue import Window
from quant_pipelines.features.indicators.engine import IndicatorSettings
from quant_pipelines.features.registry import FeatureRegistry
from quant_pipelines.features.standard import alpha158_set, indicators_set
from quant_pipelines.markets import Market


def market_features(
    market: Market, custom: Sequence[CustomFeature], *, windows: Mapping[str, tuple[Window, ...]] | None = None
) -> FeatureRegistry:
    """The registry of a market's features; no name twice over all its sets."""
    settings = IndicatorSettings(
        sessions_per_year=sessions_per_year(market.sessions_calendar), windows=dict(windows or {})
    )
    sets = [indicators_set(settings), alpha158_set()]
    return FeatureRegistry([*sets, custom_set(*custom)] if custom else sets)
