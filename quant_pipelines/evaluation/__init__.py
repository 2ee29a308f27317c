"""How good forecasts are, and how much of it is luck: pure functions of arrays."""

from quant_pipelines.evaluation.bootstrap import Resampling, block_sessions
from quant_pipelines.evaluation.comparing import Scored, compared
from quant_pipelines.evaluation.direction import SIGN, Edges, Thresholds
from quant_pipelines.evaluation.evidence import Estimate, Evidence, Gain, Seen
from quant_pipelines.evaluation.failures import BadEvaluation, MadeUpReturns, RowsDiffer
from quant_pipelines.evaluation.holdout import evaluate_model_on_holdout
from quant_pipelines.evaluation.luck import (
    Record,
    best_of,
    deflated_sharpe,
    least_record,
    overfitting,
    probabilistic_sharpe,
)
from quant_pipelines.evaluation.metrics import Judged, measured
from quant_pipelines.evaluation.money import MONEY, money_measures, require_from_prices
from quant_pipelines.evaluation.sums import MEASURES, holdout_measures
from quant_pipelines.evaluation.trading import Costs, Prices, Traded, long_only, long_short

__all__ = [
    "MEASURES",
    "MONEY",
    "SIGN",
    "BadEvaluation",
    "Costs",
    "Edges",
    "Estimate",
    "Evidence",
    "Gain",
    "Judged",
    "MadeUpReturns",
    "Prices",
    "Record",
    "Resampling",
    "RowsDiffer",
    "Scored",
    "Seen",
    "Thresholds",
    "Traded",
    "best_of",
    "block_sessions",
    "compared",
    "deflated_sharpe",
    "evaluate_model_on_holdout",
    "holdout_measures",
    "least_record",
    "long_only",
    "long_short",
    "measured",
    "money_measures",
    "overfitting",
    "probabilistic_sharpe",
    "require_from_prices",
]
