"""Training: one engine for every kind of model, from a snapshot to files and a report."""

from quant_pipelines.training.comparison import ComparisonRefused, ModelComparison, compare, comparison_page
from quant_pipelines.training.data import Material, inputs_of, material_of, task_of
from quant_pipelines.training.engine import Engine, Trained, TrainingTookTooLong
from quant_pipelines.training.features import analyze_feature_correlations, extract_feature_importance
from quant_pipelines.training.ledger import Count, Ledger
from quant_pipelines.training.order import Order, order_for
from quant_pipelines.training.page import curves_png, headline, importance_png, training_page
from quant_pipelines.training.progress import Listener, Progress, Stage, to_all
from quant_pipelines.training.report import TrainingReport
from quant_pipelines.training.shelf import Shelf, open_shelf

__all__ = [
    "ComparisonRefused",
    "Count",
    "Engine",
    "Ledger",
    "Listener",
    "Material",
    "ModelComparison",
    "Order",
    "Progress",
    "Shelf",
    "Stage",
    "Trained",
    "TrainingReport",
    "TrainingTookTooLong",
    "analyze_feature_correlations",
    "compare",
    "comparison_page",
    "curves_png",
    "extract_feature_importance",
    "headline",
    "importance_png",
    "inputs_of",
    "material_of",
    "open_shelf",
    "order_for",
    "task_of",
    "to_all",
    "training_page",
]
