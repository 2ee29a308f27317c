"""Strategies: named recipes for models, as strategies.yaml writes them."""

from quant_pipelines.strategies.kinds import MODEL_KINDS, ModelKind, kind_named
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
    "MODEL_KINDS",
    "TOP",
    "Choice",
    "Deployment",
    "Known",
    "Model",
    "ModelKind",
    "Normalisation",
    "Retrain",
    "Strategy",
    "Training",
    "TrainingWindow",
    "kind_named",
    "load_strategies",
]
