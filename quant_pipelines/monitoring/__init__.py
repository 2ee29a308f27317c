"""What went wrong, what drifts, what decays."""

from quant_pipelines.monitoring.incidents import Incident, incidents, record_incident

__all__ = ["Incident", "incidents", "record_incident"]
