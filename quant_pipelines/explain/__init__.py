"""Explanations: what each column adds to a model's predictions, for all rows and for single ones."""

from quant_pipelines.explain.attributions import Attributions, Parts, score_weights
from quant_pipelines.explain.explainers import EXPLAINERS, explain
from quant_pipelines.explain.families import family_of
from quant_pipelines.explain.importance import agreement, importances, stability
from quant_pipelines.explain.page import explanation_page, explanation_plots, importance_picture
from quant_pipelines.explain.question import Question
from quant_pipelines.explain.reference import reference_of
from quant_pipelines.explain.report import ExplanationReport
from quant_pipelines.explain.rows import Chosen
from quant_pipelines.explain.settings import STANDARD, ExplainSettings, ExplanationRefused
from quant_pipelines.explain.version import FittedVersion, explain_version

__all__ = [
    "EXPLAINERS",
    "STANDARD",
    "Attributions",
    "Chosen",
    "ExplainSettings",
    "ExplanationRefused",
    "ExplanationReport",
    "FittedVersion",
    "Parts",
    "Question",
    "agreement",
    "explain",
    "explain_version",
    "explanation_page",
    "explanation_plots",
    "family_of",
    "importance_picture",
    "importances",
    "reference_of",
    "score_weights",
    "stability",
]
