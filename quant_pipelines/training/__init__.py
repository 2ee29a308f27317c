"""Training: one engine for every kind of model, from a snapshot to files and a report."""

from quant_pipelines.training.comparison import (
    MOST_MODELS,
    ComparisonRefused,
    ModelComparison,
    compare,
    comparison_page,
)
from quant_pipelines.training.data import Material, material_of, task_of
from quant_pipelines.training.engine import Engine, Trained, TrainingTookTooLong
from quant_pipelines.training.features import analyze_feature_correlations
from quant_pipelines.training.judging import Difference, differences
from quant_pipelines.training.ledger import Count, Ledger
from quant_pipelines.training.order import Order, order_for
from quant_pipelines.training.page import curves_png, headline, importance_png, training_page
from quant_pipelines.training.progress import Listener, Progress, Stage, to_all
from quant_pipelines.training.report import TrainingReport, extract_feature_importance
from quant_pipelines.training.search import NothingFound, Searcher, open_searcher
from quant_pipelines.training.search_record import SearchRuns
from quant_pipelines.training.search_result import (
    Deflation,
    SearchListener,
    SearchProgress,
    SearchResult,
    TrialLog,
    TrialRow,
)
from quant_pipelines.training.search_settings import BadSearch, Search
from quant_pipelines.training.search_tracking import TrackedTrials
from quant_pipelines.training.shelf import Shelf, open_shelf
from quant_pipelines.training.surroundings import Surroundings, surroundings, surroundings_of
from quant_pipelines.training.tracked import TRAINING_ID, LogLine, ModelInfo, UnknownTraining, model_info
from quant_pipelines.training.trainer import Published, Trainer, content_id, report_of

__all__ = [
    "MOST_MODELS",
    "TRAINING_ID",
    "BadSearch",
    "ComparisonRefused",
    "Count",
    "Deflation",
    "Difference",
    "Engine",
    "Ledger",
    "Listener",
    "LogLine",
    "Material",
    "ModelComparison",
    "ModelInfo",
    "NothingFound",
    "Order",
    "Progress",
    "Published",
    "Search",
    "SearchListener",
    "SearchProgress",
    "SearchResult",
    "SearchRuns",
    "Searcher",
    "Shelf",
    "Stage",
    "Surroundings",
    "TrackedTrials",
    "Trained",
    "Trainer",
    "TrainingReport",
    "TrainingTookTooLong",
    "TrialLog",
    "TrialRow",
    "UnknownTraining",
    "analyze_feature_correlations",
    "compare",
    "comparison_page",
    "content_id",
    "curves_png",
    "differences",
    "extract_feature_importance",
    "headline",
    "importance_png",
    "material_of",
    "model_info",
    "open_searcher",
    "open_shelf",
    "order_for",
    "report_of",
    "surroundings",
    "surroundings_of",
    "task_of",
    "to_all",
    "training_page",
]
