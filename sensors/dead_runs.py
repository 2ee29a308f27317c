"""Runs whose process died without a word (a killed host, a killed worker) are failed, so that they free their place."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from quant_pipelines.clock import SystemClock
from resources.lake import LakeResource
from resources.lease import lease_is_free

SECONDS_BETWEEN_SWEEPS = 15
# A worker takes its lease a few seconds after it reports itself started.
GRACE = timedelta(seconds=30)
_CLAIMS_TO_RUN = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


@dg.sensor(
    minimum_interval_seconds=SECONDS_BETWEEN_SWEEPS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Fails runs whose process is gone; they are then retried once by the instance's run_retries.",
)
def sweep_dead_runs(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SkipReason:
    """Compare what claims to run with who still holds a lease."""
    dead = fail_dead_runs(context.instance, Path(lake.leases), now=SystemClock().now())
    return dg.SkipReason(f"Failed {len(dead)} dead runs: {', '.join(dead)}." if dead else "Every run is alive.")


def fail_dead_runs(instance: dg.DagsterInstance, leases: Path, *, now: datetime) -> list[str]:
    """Fail the runs that claim to run and hold no lease."""
    dead: list[str] = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=_CLAIMS_TO_RUN)):
        started = datetime.fromtimestamp(record.start_time or record.create_timestamp.timestamp(), UTC)
        run = record.dagster_run
        if now - started > GRACE and lease_is_free(leases, run.run_id):
            _end(instance, run, f"The process of run {run.run_id} is gone: nobody holds its lease.")
            dead.append(run.run_id)
    return dead


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun, why: str) -> None:
    """A run that somebody was cancelling is cancelled; failing it would start it again."""
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, why)
    else:
        instance.report_run_failed(run, why)
