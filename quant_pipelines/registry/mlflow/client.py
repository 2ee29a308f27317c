"""Opening MLflow: its tables made once and whole, its errors in our words, its artifacts by their address."""

import logging
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from mlflow import MlflowClient
from mlflow.environment_variables import (
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR,
    MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR,
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT,
)
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.registry.failures import StoreUnreachable
from quant_pipelines.registry.mlflow.place import SERVED, Place, alone, probe, require_reachable

_NOT_THERE = "RESOURCE_DOES_NOT_EXIST"
_THERE_ALREADY = "RESOURCE_ALREADY_EXISTS"
# Of a PostgreSQL advisory lock: any number, as long as it is the same everywhere.
_SETTING_UP = 5_150_505
# MLflow waits 7 minutes and more; 2 s of a restart of the server are worth waiting for. Its chatter is not ours.
_MANNERS = {
    MLFLOW_HTTP_REQUEST_MAX_RETRIES: 2,
    MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR: 1,
    MLFLOW_HTTP_REQUEST_TIMEOUT: 20,
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR: "false",
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT: "true",
}
T = TypeVar("T")


# Without it MLflow shows a training as an evaluation of prompts.
_KIND = {"mlflow.experimentKind": "custom_model_development"}


class Mlflow:
    """One place's client. Opening it is safe in many processes at once."""

    def __init__(self, place: Place) -> None:
        self.place = place
        for variable, value in _MANNERS.items():
            if not variable.is_set():
                variable.set(value)
        with self.in_our_words():
            require_reachable(place)
            make_tables(place)
            self.client = MlflowClient(place.uri, place.uri)

    @contextmanager
    def in_our_words(self) -> Generator[None]:
        """MLflow's errors, and those of what it stands on, as ours."""
        try:
            yield
        except QuantPipelinesError:
            raise
        except (MlflowException, SQLAlchemyError, BotoCoreError, ClientError, OSError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise StoreUnreachable(self.place.shown, reason.replace(self.place.uri, self.place.shown)) from error

    def found(self, ask: Callable[[], T]) -> T | None:
        """The answer, or None where MLflow says that there is no such thing."""
        with self.in_our_words():
            try:
                return ask()
            except MlflowException as error:
                if error.error_code == _NOT_THERE:
                    return None
                raise

    def made(self, make: Callable[[], T]) -> T | None:
        """The new thing, or None where it was there already."""
        with self.in_our_words():
            try:
                return make()
            except MlflowException as error:
                if error.error_code == _THERE_ALREADY:
                    return None
                raise

    def all(self, ask: Callable[..., Any], **chosen: Any) -> list[Any]:
        """Every page of a search."""
        found: list[Any] = []
        token = None
        with self.in_our_words():
            while True:
                page = ask(**chosen, page_token=token)
                found += page
                token = page.token
                if not token:
                    return found

    def experiment(self, name: str) -> str:
        """The id of an experiment, made or brought back where it has to be."""
        found = self.found(lambda: self.client.get_experiment_by_name(name))
        if found is None:
            location = None if self.place.artifacts is None else f"{self.place.artifacts}/{name}"
            made = self.made(lambda: self.client.create_experiment(name, artifact_location=location, tags=_KIND))
            return made or self.experiment(name)
        if found.lifecycle_stage != "active":
            with self.in_our_words():
                self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def artifacts(self, uri: str) -> ArtifactRepository:
        """What lies at the address of a run's or a version's artifacts."""
        if uri.startswith(SERVED) and self.place.artifacts is not None:
            # Made by the server that `qp up` starts: it keeps them where we do.
            uri = f"{self.place.artifacts}/{uri.removeprefix(SERVED).lstrip('/')}"
        with self.in_our_words():
            return get_artifact_repository(uri, tracking_uri=self.place.uri)

    def put(self, uri: str, path: str, data: bytes) -> None:
        """Write one artifact."""
        folder, _, name = path.rpartition("/")
        with tempfile.TemporaryDirectory() as scratch, self.in_our_words():
            (Path(scratch) / name).write_bytes(data)
            self.artifacts(uri).log_artifact(str(Path(scratch) / name), folder or None)

    def sizes(self, uri: str, folder: str) -> Mapping[str, int]:
        """The files of a folder, by name."""
        with self.in_our_words():
            found = self.artifacts(uri).list_artifacts(folder)
        return {each.path.rpartition("/")[2]: each.file_size or 0 for each in found}


def make_tables(place: Place) -> None:
    """Make MLflow's tables where there are none; whoever comes meanwhile waits, and finds them whole."""
    if place.file is not None:
        with alone(place):
            if not place.file.exists():
                _make_file(place.file)
    elif not place.is_server:
        engine = probe(place)
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": _SETTING_UP})
            _migrate(place.uri)
        engine.dispose()


def _make_file(path: Path) -> None:
    """Beside its place, then moved there: a process that dies in the middle leaves no half of a database."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    for left in (draft, draft.with_name(f"{draft.name}-journal")):
        left.unlink(missing_ok=True)
    _migrate(f"sqlite:///{draft}")
    draft.replace(path)


def _migrate(uri: str) -> None:
    # Its milestones would stand between the lines of whoever called us.
    for name in ("mlflow.store.db.utils", "alembic.runtime.migration"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # The default experiment's artifacts go where the server puts them, not into the current folder.
    SqlAlchemyStore(uri, SERVED).engine.dispose()
