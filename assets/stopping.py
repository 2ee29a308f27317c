"""Whether somebody wants a run to end. Dagster's interrupt says so, but Python drops one that comes while it is in
a callback or a finaliser, and a run that is marked as canceled by force is never sent one: its process would go on."""

import time
from collections.abc import Callable

import dagster as dg

SECONDS_BETWEEN_LOOKS = 2.0
_UNWANTED = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


def stop_of(context: dg.AssetExecutionContext) -> Callable[[], bool]:
    """What long work asks at every step; the run's record is looked up every few seconds."""
    instance, run_id = context.instance, context.run.run_id
    next_look, wanted = 0.0, True

    def stop() -> bool:
        nonlocal next_look, wanted
        now = time.monotonic()
        if wanted and now >= next_look:
            next_look = now + SECONDS_BETWEEN_LOOKS
            run = instance.get_run_by_id(run_id)
            wanted = run is None or run.status not in _UNWANTED
        return not wanted

    return stop
