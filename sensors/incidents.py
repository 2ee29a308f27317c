"""A failed run, and a tick that failed before there was a run, become incidents that are read without Dagster's log."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from dagster_shared.error import SerializableErrorInfo

from quant_pipelines.clock import SystemClock
from quant_pipelines.digest import digest_json
from quant_pipelines.errors import code_of
from quant_pipelines.monitoring import Incident, record_incident
from resources.lake import LakeResource

SECONDS_BETWEEN_LOOKS = 60
# A tick is stored when it begins and may fail some minutes later.
LOOK_BACK = timedelta(minutes=10)
_TICK_ID_LENGTH = 12


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
    record = context.instance.get_run_record_by_id(context.dagster_run.run_id)
    # By the run's own end: asked again after midnight, it is still the incident of that day.
    ended = record.end_time if record is not None else None
    record_incident(
        lake.open(),
        Incident(
            run_id=context.dagster_run.run_id,
            job=context.dagster_run.job_name,
            step=step,
            code=str(code.value) if code else None,
            message=(details.description if details else None)
            or _words(failures)
            or context.failure_event.message
            or "no message",
            seen_at=SystemClock().now() if ended is None else datetime.fromtimestamp(ended, UTC),
        ),
    )


def _words(failures: Sequence[dg.DagsterEvent]) -> str | None:
    """Of an error that is none of ours, such as a check that blocks: the run's own end only counts failed steps."""
    error = failures[0].step_failure_data.error if failures else None
    return None if error is None else _deepest(error).message.strip()


def _deepest(error: SerializableErrorInfo) -> SerializableErrorInfo:
    """Dagster's own words about what failed come first, the reason last."""
    while error.cause is not None:
        error = error.cause
    return error


@dg.sensor(
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes every schedule's and sensor's failed tick to the incidents table, each error once a day.",
)
def record_failed_ticks(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SkipReason:
    """A source that cannot be read fails before there is a run; nobody would hear of it otherwise."""
    now = SystemClock().now()
    since = datetime.fromisoformat(context.cursor) if context.cursor else now
    failed = list(_failed_ticks(context.instance, after=since - LOOK_BACK))
    for tick in failed:
        record_incident(lake.open(), incident_of(tick))
    # Only now: what could not be written is written at the next look.
    context.update_cursor(now.isoformat())
    return dg.SkipReason(f"{len(failed)} ticks failed since {since - LOOK_BACK:%H:%M:%S} UTC.")


def _failed_ticks(instance: dg.DagsterInstance, *, after: datetime) -> Iterator[InstigatorTick]:
    """Oldest first."""
    ticks = [
        tick
        for state in instance.all_instigator_state()
        for tick in instance.get_ticks(
            state.instigator_origin_id, state.selector_id, after=after.timestamp(), statuses=[TickStatus.FAILURE]
        )
    ]
    yield from sorted(ticks, key=lambda tick: tick.timestamp)


def incident_of(tick: InstigatorTick) -> Incident:
    """Named by who failed and how, so that a source that stays broken is one incident a day and not one a minute."""
    error = None if tick.error is None else _deepest(tick.error)
    message = error.message.strip() if error is not None else "no message"
    kind = (error.cls_name if error is not None else None) or "Error"
    return Incident(
        run_id=f"tick-{digest_json([tick.instigator_name, message])[:_TICK_ID_LENGTH]}",
        job=tick.instigator_name,
        step=None,
        code=code_of(kind),
        message=message,
        seen_at=datetime.fromtimestamp(tick.timestamp, UTC),
    )
