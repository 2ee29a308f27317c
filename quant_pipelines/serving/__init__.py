"""Serving: what a stored version forecasts, from an inference of its own, never from a training's rows."""

from quant_pipelines.serving.forecasts import Forecasts, NothingToForecast, Predictor, VersionUnreadable, answers
from quant_pipelines.serving.reading import Stored, inputs_of, misfits, stored_model, stored_version

__all__ = [
    "Forecasts",
    "NothingToForecast",
    "Predictor",
    "Stored",
    "VersionUnreadable",
    "answers",
    "inputs_of",
    "misfits",
    "stored_model",
    "stored_version",
]
