"""Training: one engine for every kind of model, from a snapshot to files and a report."""

from quant_pipelines.training.data import Material, inputs_of, material_of, task_of
from quant_pipelines.training.engine import Engine, Trained, TrainingTookTooLong
from quant_pipelines.training.features import analyze_feature_correlations, extract_feature_importance
from quant_pipelines.training.ledger import Count, Ledger
from quant_pipelines.training.order import Order, order_for
from quant_pipelines.training.progress import Listener, Progress, Stage, to_all
from quant_pipelines.training.report import TrainingReport
from quant_pipelines.training.search import NothingFound, Searcher, open_searcher
from quant_pipelines.training.search_record import SearchRuns
from quant_pipelines.training.search_result import Deflation, SearchProgress, SearchResult, TrialLog, TrialRow
from quant_pipelines.training.search_settings import BadSearch, Search
from quant_pipelines.training.shelf import Shelf, open_shelf

__all__ = [
    "BadSearch",
    "Count",
    "Deflation",
    "Engine",
    "Ledger",
    "Listener",
    "Material",
    "NothingFound",
    "Order",
    "Progress",
    "Search",
    "SearchProgress",
    "SearchResult",
    "SearchRuns",
    "Searcher",
    "Shelf",
    "Stage",
    "Trained",
    "TrainingReport",
    "TrainingTookTooLong",
    "TrialLog",
    "TrialRow",
    "analyze_feature_correlations",
    "extract_feature_importance",
    "inputs_of",
    "material_of",
    "open_searcher",
    "open_shelf",
    "order_for",
    "task_of",
    "to_all",
]
