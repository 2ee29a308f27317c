"""What went wrong, what drifts, what decays."""

from quant_pipelines.monitoring.alerts import Alert, UnknownAlert, acknowledge, alerts, judge
from quant_pipelines.monitoring.decay import BadErrors, Decay, DecayLimits, SessionErrors, decay
from quant_pipelines.monitoring.drift import Drift, NothingToCompare, drift
from quant_pipelines.monitoring.incidents import Incident, incidents, record_incident
from quant_pipelines.monitoring.prediction_errors import (
    PREDICTION_ERRORS,
    by_session,
    errors_by_strategy,
    errors_of,
    prediction_errors,
    publish_errors,
)
from quant_pipelines.monitoring.readings import (
    ACCURACY_DROP,
    DRIFT_SCORE,
    LATENCY_MS,
    METRICS,
    MODEL_MONITORING,
    WITHIN,
    Limit,
    Metric,
    Priority,
    Reading,
    rows_of,
)
from quant_pipelines.monitoring.slo import BadResponseTimes, Objective, SloReport, slo_report
from quant_pipelines.monitoring.telling import Look, NobodyTold, Send, Teller, sender_to

__all__ = [
    "ACCURACY_DROP",
    "DRIFT_SCORE",
    "LATENCY_MS",
    "METRICS",
    "MODEL_MONITORING",
    "PREDICTION_ERRORS",
    "WITHIN",
    "Alert",
    "BadErrors",
    "BadResponseTimes",
    "Decay",
    "DecayLimits",
    "Drift",
    "Incident",
    "Limit",
    "Look",
    "Metric",
    "NobodyTold",
    "NothingToCompare",
    "Objective",
    "Priority",
    "Reading",
    "Send",
    "SessionErrors",
    "SloReport",
    "Teller",
    "UnknownAlert",
    "acknowledge",
    "alerts",
    "by_session",
    "decay",
    "drift",
    "errors_by_strategy",
    "errors_of",
    "incidents",
    "judge",
    "prediction_errors",
    "publish_errors",
    "record_incident",
    "rows_of",
    "sender_to",
    "slo_report",
]
