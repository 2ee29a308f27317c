"""Names of data products and of the groups they stand in."""

import dagster as dg

from quant_pipelines.markets import Market

RAW_BARS = "raw_bars"
PRICES = "prices"
LABELS = "labels"
DATA_VERSIONS = "data_versions"
SNAPSHOT = "snapshot"
MODEL = "model"
MODEL_COMPARISON = "model_comparison"
EXPLANATION = "explanation"
SEARCH = "search"
HOLDOUT_EVALUATION = "holdout_evaluation"
DECISION = "decision"
PREDICTIONS = "predictions"
PREDICTION_ERRORS = "prediction_errors"
MODEL_MONITORING = "model_monitoring"
ROLLOUT = "rollout"
MODEL_DEPLOYED = "model_deployed"
EXPERIMENT_STARTED = "experiment_started"

FACTOR_REPORT = "factor_report"

INGEST = "ingest"
FEATURES = "features"
RESEARCH = "research"
OVERVIEW = "overview"
TRAINING = "training"
GOVERNANCE = "governance"


def key_of(market: Market, table: str) -> dg.AssetKey:
    """The market is the prefix, so that one graph holds every market side by side."""
    return dg.AssetKey([market.name, table])
