"""How good forecasts are: pure functions of arrays."""

from quant_pipelines.evaluation.metrics import measured

__all__ = ["measured"]
