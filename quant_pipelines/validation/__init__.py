"""Splits and probes that keep what a model is judged on away from what it learned from."""

from quant_pipelines.validation.correlations import FEWEST_NAMES, block_correlations, mean_ic
from quant_pipelines.validation.failures import BadSpans, BadSplitSettings, BadTrial
from quant_pipelines.validation.folds import CombinatorialPurged, purged_k_fold
from quant_pipelines.validation.holdout import Holdout, HoldoutSplit, holdout_sessions
from quant_pipelines.validation.probes import (
    ProbeResult,
    ProbeSettings,
    Verdict,
    future_column_probe,
    noise_columns_probe,
    overlap_probe,
    shuffled_labels_probe,
    truncation_probe,
)
from quant_pipelines.validation.purging import overlapping, purge
from quant_pipelines.validation.spans import LabelSpans
from quant_pipelines.validation.splits import Split, Splits, Status
from quant_pipelines.validation.trial import FitScore, Trial
from quant_pipelines.validation.walk_forward import WalkForward

__all__ = [
    "FEWEST_NAMES",
    "BadSpans",
    "BadSplitSettings",
    "BadTrial",
    "CombinatorialPurged",
    "FitScore",
    "Holdout",
    "HoldoutSplit",
    "LabelSpans",
    "ProbeResult",
    "ProbeSettings",
    "Split",
    "Splits",
    "Status",
    "Trial",
    "Verdict",
    "WalkForward",
    "block_correlations",
    "future_column_probe",
    "holdout_sessions",
    "mean_ic",
    "noise_columns_probe",
    "overlap_probe",
    "overlapping",
    "purge",
    "purged_k_fold",
    "shuffled_labels_probe",
    "truncation_probe",
]
