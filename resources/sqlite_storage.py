"""Dagster's SQLite storage with the project's way of writing events and of holding runs."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from dagster import DagsterEvent
from dagster._core.events import EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from resources.events import BatchedEvents
from resources.publishing import HoldsRuns, RunCannotBeHeld


class SqliteEvents(BatchedEvents, SqliteEventLogStorage):
    """One file for each run, and an index over all of them."""


class SqliteRuns(SqliteRunStorage, HoldsRuns):
    """One file with all runs, and beside it a lock for each run that publishes.

    SQLite can lock the whole file only, which would stop every other run for as long as one commits to a slow store.
    """

    @contextmanager
    def held(self, run_id: str) -> Generator[str | None]:
        with self._locked(run_id):
            run = self._get_run_by_id(run_id)
            yield None if run is None else run.status.value

    def handle_run_event(self, run_id: str, event: DagsterEvent, update_timestamp: datetime | None = None) -> None:
        status = EVENT_TYPE_TO_PIPELINE_RUN_STATUS.get(event.event_type)
        if status is None:
            return
        with self._locked(run_id):
            super().handle_run_event(run_id, event, update_timestamp)
            if status in FINISHED_STATUSES:
                self._forget_lock(run_id)

    def delete_run(self, run_id: str) -> None:
        with self._locked(run_id):
            super().delete_run(run_id)
            self._forget_lock(run_id)

    @contextmanager
    def _locked(self, run_id: str) -> Generator[None]:
        path = self._lock_of(run_id)
        try:
            path.parent.mkdir(exist_ok=True)
            file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise RunCannotBeHeld(run_id, error) from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _forget_lock(self, run_id: str) -> None:
        """Who opened the file before and gets its lock only now finds that the run is over."""
        self._lock_of(run_id).unlink(missing_ok=True)

    def _lock_of(self, run_id: str) -> Path:
        return Path(self._conn_string.removeprefix("sqlite:///")).parent / "held" / run_id


class SqliteStorage(DagsterSqliteStorage):
    """Schedules are Dagster's own."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data=inst_data)
        # Where Dagster's own would have put them: a home of the stock storage goes on as it was.
        self._run_storage = SqliteRuns.from_local(str(Path(base_dir) / "history"))
        self._event_log_storage = SqliteEvents(str(Path(base_dir) / "history" / "runs"))
