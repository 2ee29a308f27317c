"""What went wrong, what drifts, what decays."""

from quant_pipelines.monitoring.decay import BadErrors, Decay, DecayLimits, SessionErrors, decay
from quant_pipelines.monitoring.incidents import Incident, incidents, record_incident
from quant_pipelines.monitoring.prediction_errors import (
    PREDICTION_ERRORS,
    by_session,
    errors_by_strategy,
    errors_of,
    prediction_errors,
    publish_errors,
)
from quant_pipelines.monitoring.slo import BadResponseTimes, Objective, SloReport, slo_report

__all__ = [
    "PREDICTION_ERRORS",
    "BadErrors",
    "BadResponseTimes",
    "Decay",
    "DecayLimits",
    "Incident",
    "Objective",
    "SessionErrors",
    "SloReport",
    "by_session",
    "decay",
    "errors_by_strategy",
    "errors_of",
    "incidents",
    "prediction_errors",
    "publish_errors",
    "record_incident",
    "slo_report",
]
