"""Strategies: named recipes for models, as strategies.yaml writes them."""

from quant_pipelines.strategies.loader import TOP, Known, load_strategies
from quant_pipelines.strategies.policies import Deployment, Retrain
from quant_pipelines.strategies.strategy import (
    Choice,
    Model,
    Normalisation,
    Strategy,
    Training,
    TrainingWindow,
)

__all__ = [
    "TOP",
    "Choice",
    "Deployment",
    "Known",
    "Model",
    "Normalisation",
    "Retrain",
    "Strategy",
    "Training",
    "TrainingWindow",
    "load_strategies",
]
