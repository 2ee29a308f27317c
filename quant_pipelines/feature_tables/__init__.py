"""Features as tables of the lake: computed from prices, published by session, proved point-in-time, judged."""

from quant_pipelines.feature_tables.panels import PRICE_COLUMNS, FactorsMixed, PricePanel, price_panel
from quant_pipelines.feature_tables.proof import RULES, FeatureRule, Judgement, judge_features
from quant_pipelines.feature_tables.publish import FeaturePublisher, Memory, PublishedFeatures
from quant_pipelines.feature_tables.schema import feature_schema
from quant_pipelines.feature_tables.sets import market_features
from quant_pipelines.lineage.made_from import MADE_FROM

__all__ = [
    "MADE_FROM",
    "PRICE_COLUMNS",
    "RULES",
    "FactorsMixed",
    "FeaturePublisher",
    "FeatureRule",
    "Judgement",
    "Memory",
    "PricePanel",
    "PublishedFeatures",
    "feature_schema",
    "judge_features",
    "market_features",
    "price_panel",
]
