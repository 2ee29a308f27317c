"""Dagster's PostgreSQL storage with the project's way of writing events and of holding runs."""

import logging
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager

from dagster._core.events import BATCH_WRITABLE_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.runs.base import RunStorage
from dagster._core.storage.runs.schema import RunsTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage, PostgresRunStorage
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from resources.events import BatchedEvents
from resources.outages import OUTAGE_SECONDS, outlast, outlasting
from resources.publishing import HoldsRuns, RunCannotBeHeld

_log = logging.getLogger(__name__)
# A commit takes milliseconds. Where the machine of a writer vanishes, its database server hears nothing of it, and
# the daemon would wait for the row for hours.
_HELD_AT_MOST = "120s"


@outlasting(EventLogStorage, but={"store_event", "store_event_batch"})
class PostgresEvents(BatchedEvents, PostgresEventLogStorage):
    """All runs in one table. An event is stored once, however often it has to be tried."""

    outage_seconds = OUTAGE_SECONDS

    def store_event(self, event: EventLogEntry) -> None:
        outlast(lambda repeated: self.store_together([event], repeated=repeated), seconds=self.outage_seconds)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        if not all(event.dagster_event_type in BATCH_WRITABLE_EVENTS for event in events):
            for event in events:
                self.store_event(event)
            return
        outlast(lambda repeated: self.store_together(events, repeated=repeated), seconds=self.outage_seconds)

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        super().optimize_for_webserver(statement_timeout, pool_recycle, max_overflow)
        self.outage_seconds = 0.0  # who looks at a page wants to hear at once that there is nothing to see


# What may not be repeated is asked by the daemon and by who launches a run; both come again.
@outlasting(RunStorage, but={"add_run", "add_historical_run", "add_backfill"})
class PostgresRuns(PostgresRunStorage, HoldsRuns):
    """One row for each run, which is locked while the run publishes."""

    outage_seconds = OUTAGE_SECONDS

    @contextmanager
    def held(self, run_id: str) -> Generator[str | None]:
        try:
            lock, connection, status = outlast(lambda _: self._lock(run_id), seconds=self.outage_seconds)
        except (DBAPIError, DagsterPostgresException) as error:
            raise RunCannotBeHeld(run_id, error.__cause__ or error) from error
        with lock:
            yield status
            _let_go(connection, run_id)

    def _lock(self, run_id: str) -> tuple[ExitStack, Connection, str | None]:
        with ExitStack() as opened:
            connection = opened.enter_context(self.connect())
            status = _locked_status(connection, run_id)
            return opened.pop_all(), connection, status

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        super().optimize_for_webserver(statement_timeout, pool_recycle, max_overflow)
        self.outage_seconds = 0.0  # as above


def _locked_status(connection: Connection, run_id: str) -> str | None:
    connection.execution_options(isolation_level="READ COMMITTED")
    connection.begin()
    connection.execute(select(func.set_config("idle_in_transaction_session_timeout", _HELD_AT_MOST, True)))
    # Without the key: rows that name the run may be written meanwhile; whoever changes the run itself waits.
    row = select(RunsTable.c.status).where(RunsTable.c.run_id == run_id).with_for_update(key_share=True)
    return connection.execute(row).scalar()


def _let_go(connection: Connection, run_id: str) -> None:
    """What was published stays published, so a database that went away meanwhile fails nothing."""
    try:
        connection.rollback()
    except DBAPIError as error:
        _log.warning("The database went away while run %s published. Nothing held the run since: %s", run_id, error)


class PostgresStorage(DagsterPostgresStorage):
    """Schedules are Dagster's own."""

    def __init__(self, postgres_url: str, *, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, inst_data=inst_data)
        self._run_storage = PostgresRuns(postgres_url)
        self._event_log_storage = PostgresEvents(postgres_url)
