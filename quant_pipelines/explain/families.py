"""Which kind of indicator a feature is, so that columns that say nearly the same are judged together."""

from collections.abc import Mapping

from quant_pipelines.features.alpha158.catalogue import FACTORS
from quant_pipelines.features.indicators.catalogue import INDICATORS
from quant_pipelines.features.registry import FeatureKind

# The groups of S2-08..11.
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "trend": ("sma", "ema", "macd", "bollinger", "sar", "adx"),
    "momentum": ("rsi", "stochastic", "williams_r", "cci", "roc"),
    "volume": ("vwap", "obv", "accumulation", "mfi"),
    "volatility": ("atr", "historical_volatility"),
}
_GROUP_OF = {name: group for group, names in _GROUPS.items() for name in names}
_PRICE_ENDS = "0"
# The longest first: macd_signal_12_26_9 is macd_signal's, not macd's.
_INDICATOR_COLUMNS = sorted(
    ((column, each.name) for each in INDICATORS for column in each.columns), key=lambda pair: -len(pair[0])
)
_ALPHA158 = {factor.name: factor.window for factor in FACTORS}


def family_of(feature: str, table: str) -> str:
    """`alpha158: ROC`, `indicators: momentum`; a set without families is one itself."""
    # Tables whose columns a user chose have a digest of them behind the set's name.
    named = [each.value for each in FeatureKind if table == each.value or table.startswith(f"{each.value}_")]
    features = named[0] if named else table
    pick = {FeatureKind.ALPHA158.value: _of_alpha158, FeatureKind.INDICATOR.value: _of_indicators}.get(features)
    found = None if pick is None else pick(feature)
    return features if found is None else f"{features}: {found}"


def _of_alpha158(feature: str) -> str | None:
    """Candles, prices of the session, or the operator that is rolled over several windows."""
    window = _ALPHA158.get(feature)
    if window is None:
        return None
    if window > 1:
        return feature.removesuffix(str(window))
    return "price" if feature.endswith(_PRICE_ENDS) else "candle"


def _of_indicators(feature: str) -> str | None:
    for column, indicator in _INDICATOR_COLUMNS:
        if feature == column or feature.startswith(f"{column}_"):
            return _GROUP_OF[indicator]
    return None
