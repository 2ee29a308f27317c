"""Runs of MLflow whose process died without a word are ended, so that nobody waits for their next step."""

from collections.abc import Mapping, Sequence

import dagster as dg

from quant_pipelines.registry import Status, Tracker
from quant_pipelines.strategies import Strategy
from resources.models import RUN_TAG, TrackerResource

SECONDS_BETWEEN_LOOKS = 60


def tracked_run_sensors(strategies: Mapping[str, Mapping[str, Strategy]]) -> Sequence[dg.SensorDefinition]:
    """One for all markets, where anything is trained."""
    return [close_tracked_runs] if any(strategies.values()) else []


@dg.sensor(
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends runs of MLflow that their process left open: it was killed, or could not reach MLflow.",
)
def close_tracked_runs(context: dg.SensorEvaluationContext, tracker: TrackerResource) -> dg.SkipReason:
    """Compare what runs by MLflow with what has ended by Dagster."""
    closed = close_left_open(context.instance, tracker.open())
    return dg.SkipReason(
        f"Ended {len(closed)} runs that were left open: {', '.join(closed)}." if closed else "None was left open."
    )


def close_left_open(instance: dg.DagsterInstance, tracker: Tracker) -> list[str]:
    """End every tracked run whose run of Dagster's is over; a process that lives ends its own before that."""
    closed: list[str] = []
    for tracked, run_id in tracker.running(RUN_TAG).items():
        run = instance.get_run_by_id(run_id)
        # One that Dagster does not know is of another installation that shares the server, or its run was deleted.
        if run is None or not run.is_finished:
            continue
        why = (
            f"Dagster's run {run_id} ended as {run.status.value} and had left this one open: its process was killed, "
            "or it could not reach MLflow. The measures say how far it got."
        )
        if tracker.abandon(tracked, _status(run), why=why):
            closed.append(tracked)
    return closed


def _status(run: dg.DagsterRun) -> Status:
    """As a process that is asked to end has it; what was killed has failed."""
    return "KILLED" if run.status is dg.DagsterRunStatus.CANCELED else "FAILED"
