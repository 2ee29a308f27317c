"""The HTTP API: what is live, and audits of other schedulers. It reads the journal and knows nothing else."""

from quant_pipelines.api.schemas import RolloutState, RolloutStateResponse, SchedulerAuditLogRequest

__all__ = ["RolloutState", "RolloutStateResponse", "SchedulerAuditLogRequest"]
