"""The features every market has, as sets for the registry."""

from datetime import UTC, datetime

from quant_pipelines.features.alpha158 import engine as alpha158
from quant_pipelines.features.alpha158.catalogue import FACTORS
from quant_pipelines.features.expressions.language import fields, look_back, parse_feature
from quant_pipelines.features.indicators import engine as indicators
from quant_pipelines.features.indicators.engine import IndicatorSettings
from quant_pipelines.features.registry import Feature, FeatureKind, FeatureSet

_SINCE = datetime(2026, 11, 21, tzinfo=UTC)
# Raise it when the engine's numbers change while the definitions stay.
ALPHA158_REVISION = 1
INDICATORS_REVISION = 1


def alpha158_set() -> FeatureSet:
    """The 158 factors."""
    trees = {factor.name: parse_feature(factor.expression) for factor in FACTORS}
    features = tuple(
        Feature(
            name=factor.name,
            kind=FeatureKind.ALPHA158,
            definition=factor.expression,
            inputs=fields(trees[factor.name]),
            look_back_sessions=look_back(trees[factor.name]),
            sentence=factor.sentence,
            created_at=_SINCE,
            revision=ALPHA158_REVISION,
        )
        for factor in FACTORS
    )
    return FeatureSet(name=FeatureKind.ALPHA158.value, features=features, compute=alpha158.compute)


def indicators_set(settings: IndicatorSettings) -> FeatureSet:
    """The technical indicators. All of them read the whole history: averages that never end, and TA-Lib's sums."""
    features = tuple(
        Feature(
            name=name,
            kind=FeatureKind.INDICATOR,
            definition=f"{indicator.name}{window}",
            inputs=indicator.inputs,
            look_back_sessions=None,
            sentence=indicator.sentence,
            created_at=_SINCE,
            unit=indicator.unit,
            revision=INDICATORS_REVISION,
        )
        for indicator, window in settings.chosen()
        for name in indicator.named(window)
    )
    return FeatureSet(
        name=FeatureKind.INDICATOR.value, features=features, compute=lambda panel: indicators.compute(panel, settings)
    )
