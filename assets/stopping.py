"""Whether somebody wants a run to end. Dagster's interrupt says so, but Python drops one that comes while it is in
a callback or a finaliser, and a run that is marked as canceled by force is never sent one: its process would go on."""

import logging
import time
from collections.abc import Callable

import dagster as dg
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import DBAPIError

from resources.outages import is_outage

SECONDS_BETWEEN_LOOKS = 2.0
# A look at a database that is away takes as long as its outage may last; work goes on between two of them.
SECONDS_AFTER_AN_OUTAGE = 60.0
_UNWANTED = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
_log = logging.getLogger(__name__)


def stop_of(context: dg.AssetExecutionContext, *, seconds: Callable[[], float] = time.monotonic) -> Callable[[], bool]:
    """What long work asks at every step; the run's record is looked up every few seconds."""
    instance, run_id = context.instance, context.run.run_id
    next_look, wanted = seconds(), True

    def stop() -> bool:
        nonlocal next_look, wanted
        if wanted and seconds() >= next_look:
            known = _is_wanted(instance, run_id)
            next_look = seconds() + (SECONDS_AFTER_AN_OUTAGE if known is None else SECONDS_BETWEEN_LOOKS)
            wanted = known is not False
        return not wanted

    return stop


def _is_wanted(instance: dg.DagsterInstance, run_id: str) -> bool | None:
    """None where Dagster's database does not say: hours of work do not end for that."""
    try:
        run = instance.get_run_by_id(run_id)
    except (DBAPIError, DagsterPostgresException) as error:
        if not is_outage(error):
            raise
        _log.warning("Dagster's database does not say whether run %s is still wanted; it goes on: %s", run_id, error)
        return None
    return run is None or run.status not in _UNWANTED
