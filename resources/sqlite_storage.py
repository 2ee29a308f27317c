"""Dagster's SQLite storage with the project's way of writing events."""

from pathlib import Path

from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from resources.events import BatchedEvents


class SqliteEvents(BatchedEvents, SqliteEventLogStorage):
    """One file for each run, and an index over all of them."""


class SqliteStorage(DagsterSqliteStorage):
    """Runs and schedules are Dagster's own."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data=inst_data)
        # Where Dagster's own would have put them: a home of the stock storage goes on as it was.
        self._event_log_storage = SqliteEvents(str(Path(base_dir) / "history" / "runs"))
