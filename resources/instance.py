"""The Dagster instance: SQLite under the project's home, or PostgreSQL when one URL is set (X-27)."""

import fcntl
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from quant_pipelines.settings import Settings
from resources.sqlite_storage import SqliteStorage

_Config = Mapping[str, Any]


class ProjectStorage(DagsterStorage, ConfigurableClass):
    """Chooses the storage by QP_DATABASE_URL; never instantiated itself."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(  # pyright: ignore[reportIncompatibleMethodOverride]  # Dagster's own storages do the same
        cls, inst_data: ConfigurableClassData | None, config_value: _Config
    ) -> DagsterStorage:
        settings = Settings()
        # Several processes that make the first tables at once can ruin an empty store for good;
        # whoever comes first makes them alone (target R9).
        with _alone(settings.home_path / "dagster.lock"):
            if settings.postgres_url is not None:
                from resources.postgres_storage import PostgresStorage

                return PostgresStorage(settings.postgres_url, inst_data=inst_data)
            return SqliteStorage.from_local(str(settings.home_path / "dagster"), inst_data=inst_data)


class ProjectLogs(LocalComputeLogManager):
    """What runs print, at an absolute path whoever starts them (S4-47)."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: _Config
    ) -> LocalComputeLogManager:
        return LocalComputeLogManager(str(Settings().home_path / "logs"), inst_data=inst_data)


class ProjectArtifacts(LocalArtifactStorage):
    """Dagster's scratch files."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: _Config) -> LocalArtifactStorage:
        folder = Settings().home_path / "artifacts"
        folder.mkdir(parents=True, exist_ok=True)
        return LocalArtifactStorage(str(folder), inst_data=inst_data)


@contextmanager
def _alone(path: Path) -> Generator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
