"""Predictions: what serves says of each session, and how versions do against each other while they serve."""

from quant_pipelines.predictions.errors import MarketErrors
from quant_pipelines.predictions.experimenting import ArmRefused, ExperimentRunning, begin, outcomes, running, serving
from quant_pipelines.predictions.observing import observations
from quant_pipelines.predictions.publish import NothingLive, PredictionPublisher, PublishedPredictions, Served
from quant_pipelines.predictions.schema import PREDICTIONS
from quant_pipelines.predictions.watching import Watch

__all__ = [
    "PREDICTIONS",
    "ArmRefused",
    "ExperimentRunning",
    "MarketErrors",
    "NothingLive",
    "PredictionPublisher",
    "PublishedPredictions",
    "Served",
    "Watch",
    "begin",
    "observations",
    "outcomes",
    "running",
    "serving",
]
