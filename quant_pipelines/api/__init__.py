"""The API: what is live, audits of other schedulers, and the progress of trainings. It keeps nothing of its own."""

from quant_pipelines.api.schemas import ProgressEvent, RolloutState, RolloutStateResponse, SchedulerAuditLogRequest

__all__ = ["ProgressEvent", "RolloutState", "RolloutStateResponse", "SchedulerAuditLogRequest"]
