"""When a strategy trains again: the end of a week, month or quarter, and a decay of its predictions."""

from quant_pipelines.triggers.audit import (
    RISK_EVENT,
    SCHEDULER_AUDIT_LOG,
    Audit,
    Recorded,
    audit_of,
    decay_started,
    put_on_record,
    put_sent_on_record,
    scheduler_audits,
)
from quant_pipelines.triggers.check import Check, check_triggers
from quant_pipelines.triggers.choosing import Started, Trigger, chosen, started_as, what_starts
from quant_pipelines.triggers.inputs import ModelInputs
from quant_pipelines.triggers.telling import decision_text, thresholds_text, told, window_text
from quant_pipelines.triggers.thresholds import Thresholds, effective
from quant_pipelines.triggers.ticking import Checker, Outcome, Watch

__all__ = [
    "RISK_EVENT",
    "SCHEDULER_AUDIT_LOG",
    "Audit",
    "Check",
    "Checker",
    "ModelInputs",
    "Outcome",
    "Recorded",
    "Started",
    "Thresholds",
    "Trigger",
    "Watch",
    "audit_of",
    "check_triggers",
    "chosen",
    "decay_started",
    "decision_text",
    "effective",
    "put_on_record",
    "put_sent_on_record",
    "scheduler_audits",
    "started_as",
    "thresholds_text",
    "told",
    "what_starts",
    "window_text",
]
