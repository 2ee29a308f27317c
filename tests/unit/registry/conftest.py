"""A store on each database. MLflow's tables are made once and copied."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stored import Kept, migrated, place_in

DATABASES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgres))


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated(tmp_path_factory.mktemp("migrated"))


@pytest.fixture(scope="session")
def empty_postgres(new_database: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    url = new_database()
    Kept(place_in(tmp_path_factory.mktemp("postgres"), url.replace("postgresql://", "postgresql+psycopg2://")))
    _end_connections(url)
    return url


@pytest.fixture(params=DATABASES)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    """An empty store."""
    if request.param == "sqlite":
        return request.getfixturevalue("kept_in_file")
    empty = request.getfixturevalue("empty_postgres")
    url = request.getfixturevalue("new_database")(copied_from=empty)
    return Kept(place_in(tmp_path, url.replace("postgresql://", "postgresql+psycopg2://")))


@pytest.fixture
def kept_in_file(empty_sqlite: Path, tmp_path: Path) -> Kept:
    shutil.copyfile(empty_sqlite, tmp_path / "mlflow.db")
    return Kept(place_in(tmp_path))


def _end_connections(url: str) -> None:
    """A database that somebody is connected to cannot be copied."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking

    for store in (Registry, Tracking):
        for uri, engine in store._engine_map.items():
            if uri.endswith(url.rpartition("/")[2]):
                engine.dispose()
