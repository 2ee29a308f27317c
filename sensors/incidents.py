"""A failed run becomes an incident that somebody can read without the Dagster log."""

import dagster as dg

from quant_pipelines.clock import SystemClock
from quant_pipelines.monitoring import Incident, record_incident
from resources.lake import LakeResource


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes every failed run to the incidents table.",
)
def record_failed_runs(context: dg.RunFailureSensorContext, lake: LakeResource) -> None:
    """One incident for each failed run, with the first failed step's own words."""
    failures = context.get_step_failure_events()
    step = failures[0].step_key if failures else None
    details = failures[0].step_failure_data.user_failure_data if failures else None
    code = details.metadata.get("code") if details else None
    record_incident(
        lake.open(),
        Incident(
            run_id=context.dagster_run.run_id,
            job=context.dagster_run.job_name,
            step=step,
            code=str(code.value) if code else None,
            message=(details.description if details else None) or context.failure_event.message or "no message",
            seen_at=SystemClock().now(),
        ),
    )
