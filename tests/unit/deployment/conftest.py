"""Rollouts on a journal in a file and a store in memory, or on MLflow."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quant_pipelines.journal import Journal
from tests.rollouts import Remembered, Rollouts, journal_in
from tests.stored import Kept, migrated, place_in


@pytest.fixture(scope="session")
def empty_journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("journal")
    assert journal_in(folder).head().sequence == 0
    return folder


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated(tmp_path_factory.mktemp("migrated"))


@pytest.fixture
def new_journal(empty_journal: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Journal]:
    """Copies of an empty journal: making one takes a while."""

    def make(**more: Any) -> Journal:
        folder = tmp_path_factory.mktemp("copied")
        shutil.copyfile(empty_journal / "journal.db", folder / "journal.db")
        return journal_in(folder, **more)

    return make


@pytest.fixture
def rollouts(new_journal: Callable[..., Journal]) -> Rollouts:
    return Rollouts(new_journal(), Remembered())


@pytest.fixture
def on_mlflow(new_journal: Callable[..., Journal], empty_mlflow: Path, tmp_path: Path) -> Rollouts:
    shutil.copyfile(empty_mlflow, tmp_path / "mlflow.db")
    return Rollouts(new_journal(), Kept(place_in(tmp_path)).models)
