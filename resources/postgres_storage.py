"""Dagster's PostgreSQL storage with the project's way of writing events."""

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage

from resources.events import BatchedEvents


class PostgresEvents(BatchedEvents, PostgresEventLogStorage):
    """All runs in one table."""


class PostgresStorage(DagsterPostgresStorage):
    """Runs and schedules are Dagster's own."""

    def __init__(self, postgres_url: str, *, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, inst_data=inst_data)
        self._event_log_storage = PostgresEvents(postgres_url)
