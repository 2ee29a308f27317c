"""Where MLflow keeps things, by the settings. Knows no MLflow, so that asking is cheap."""

import fcntl
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from quant_pipelines.registry.failures import StoreUnreachable
from quant_pipelines.settings import Settings, hush

_PROBE_SECONDS = 5
SERVED = "mlflow-artifacts:/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A database or a server, and where artifacts go; a server decides about those itself."""

    uri: str
    page: str
    artifacts: str | None
    lock: Path

    @property
    def shown(self) -> str:
        """The place without its password."""
        return self.uri if self.is_server else make_url(self.uri).render_as_string(hide_password=True)

    @property
    def is_server(self) -> bool:
        return self.uri.startswith(("http://", "https://"))

    @property
    def file(self) -> Path | None:
        """The SQLite file, where it is one."""
        return Path(self.uri.removeprefix("sqlite:///")) if self.uri.startswith("sqlite:///") else None


def place_of(settings: Settings) -> Place:
    """A server where one is named, else MLflow's own PostgreSQL, else a file below the home."""
    lock = settings.home_path / "mlflow.lock"
    if settings.mlflow_url is not None:
        return Place(uri=settings.mlflow_url.rstrip("/"), page=settings.mlflow_address, artifacts=None, lock=lock)
    return Place(uri=backend_url(settings), page=settings.mlflow_address, artifacts=artifacts_url(settings), lock=lock)


def backend_url(settings: Settings) -> str:
    """The database as `qp up` serves it."""
    return settings.mlflow_postgres_url or f"sqlite:///{settings.home_path / 'mlflow.db'}"


def artifacts_url(settings: Settings) -> str:
    chosen = settings.mlflow_artifacts
    if chosen is not None and "://" in chosen:
        return chosen.rstrip("/")
    return (settings.project / (chosen or settings.home_path / "mlflow-artifacts")).resolve().as_uri()


@contextmanager
def alone(place: Place) -> Generator[None]:
    """No other process of this machine that asks for it is inside."""
    place.lock.parent.mkdir(parents=True, exist_ok=True)
    with place.lock.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def require_reachable(place: Place) -> None:
    """Ask once, and soon say so where nobody answers: MLflow itself would try for minutes."""
    try:
        if place.is_server:
            with urllib.request.urlopen(f"{place.uri}/health", timeout=_PROBE_SECONDS):  # noqa: S310 - http, by is_server
                return
        elif place.file is None:
            probe(place).dispose()
    except (urllib.error.URLError, OSError) as error:
        raise StoreUnreachable(place.shown, str(getattr(error, "reason", error))) from error
    except DBAPIError as error:
        raise StoreUnreachable(place.shown, str(error.orig).strip().splitlines()[0]) from error


def probe(place: Place) -> Engine:
    """An engine of ours that has reached the database once."""
    engine = create_engine(place.uri, poolclass=NullPool, connect_args={"connect_timeout": _PROBE_SECONDS})
    engine.connect().close()
    return engine


def prepare(settings: Settings) -> None:
    """Make MLflow's file before a server does, which would not wait for a training that makes it too."""
    place = place_of(settings)
    if place.file is not None and not place.file.exists():
        hush()
        # Imported only where there is something to make: it takes seconds.
        from quant_pipelines.registry.mlflow.client import make_tables

        make_tables(place)
