"""What happened after a session, as numbers. The only package that looks ahead."""

from quant_pipelines.labels.build import Absence, label_rows
from quant_pipelines.labels.columns import KEY, LABEL_SET, RETURNS, ROWS
from quant_pipelines.labels.dual import DualTargets, dual_targets
from quant_pipelines.labels.failures import BadLabelInput, BadLabelSettings
from quant_pipelines.labels.grid import PriceGrid
from quant_pipelines.labels.returns import forward_returns
from quant_pipelines.labels.sets import LABEL_SETS, Classes, LabelSet, direction3
from quant_pipelines.labels.tradability import Obstacle, tradability
from quant_pipelines.labels.venue import Venue
from quant_pipelines.labels.weights import average_uniqueness, exponential_decay, linear_decay

__all__ = [
    "KEY",
    "LABEL_SET",
    "LABEL_SETS",
    "RETURNS",
    "ROWS",
    "Absence",
    "BadLabelInput",
    "BadLabelSettings",
    "Classes",
    "DualTargets",
    "LabelSet",
    "Obstacle",
    "PriceGrid",
    "Venue",
    "average_uniqueness",
    "direction3",
    "dual_targets",
    "exponential_decay",
    "forward_returns",
    "label_rows",
    "linear_decay",
    "tradability",
]
