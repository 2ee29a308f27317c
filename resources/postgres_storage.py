"""Dagster's PostgreSQL storage with the project's way of writing events and of holding runs."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

from dagster._core.storage.runs.schema import RunsTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage, PostgresRunStorage
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from resources.events import BatchedEvents
from resources.publishing import HoldsRuns, RunCannotBeHeld

_log = logging.getLogger(__name__)
# A commit takes milliseconds. Where the machine of a writer vanishes, its database server hears nothing of it, and
# the daemon would wait for the row for hours.
_HELD_AT_MOST = "120s"


class PostgresEvents(BatchedEvents, PostgresEventLogStorage):
    """All runs in one table."""


class PostgresRuns(PostgresRunStorage, HoldsRuns):
    """One row for each run, which is locked while the run publishes."""

    @contextmanager
    def held(self, run_id: str) -> Generator[str | None]:
        with self._locked(run_id) as (connection, status):
            yield status
            _let_go(connection, run_id)

    @contextmanager
    def _locked(self, run_id: str) -> Generator[tuple[Connection, str | None]]:
        held = False
        try:
            with self.connect() as connection:
                status = _locked_status(connection, run_id)
                held = True
                yield connection, status
        except (DBAPIError, DagsterPostgresException) as error:
            if held:
                raise
            raise RunCannotBeHeld(run_id, error.__cause__ or error) from error


def _locked_status(connection: Connection, run_id: str) -> str | None:
    connection.execution_options(isolation_level="READ COMMITTED")
    connection.begin()
    connection.execute(select(func.set_config("idle_in_transaction_session_timeout", _HELD_AT_MOST, True)))
    # Without the key: tags of the run may be added meanwhile.
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
