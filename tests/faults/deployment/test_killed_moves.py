"""Property 5 with real processes: killed anywhere, or raced, one version is live, and the store can be healed."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from quant_pipelines.clock import SystemClock
from quant_pipelines.deployment import live_now
from quant_pipelines.journal import FileAnchor, Journal, sqlite_url
from tests.faults.deployment.scenes import SCENES, prepare, require_safe, standing
from tests.rollouts import Rollouts, journal_in
from tests.stored import MODEL, Kept, migrated, place_in

SCRIPT = Path(__file__).with_name("moving_process.py")
# The commit stands among the journal's own steps; before it nothing has changed.
SHORT = {
    "to everybody": ["healthy", "inserted", "committed", "aliased champion", "moved to deployed"],
    "back to the one before": ["inserted", "switched"],
}


class Moving:
    """One process that has loaded everything, and forks for each task, so that many kills take seconds."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, *parts: dict[str, Any]) -> list[dict[str, Any]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(parts) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


@dataclass(frozen=True, kw_only=True)
class Set:
    """A scene on disk. The artifacts lie where they were written: only databases are copied."""

    name: str
    folder: Path
    artifacts: str
    url: str | None = None

    def journal(self) -> Journal:
        url = self.url or sqlite_url(self.folder / "journal.db")
        return Journal(url, FileAnchor(self.folder / "journal.anchor"), clock=SystemClock())

    def kept(self) -> Kept:
        return Kept(replace(place_in(self.folder), artifacts=self.artifacts))

    def part(self, **more: Any) -> dict[str, Any]:
        return {"folder": str(self.folder), "artifacts": self.artifacts, "scene": self.name, "url": self.url, **more}

    def require_safe(self, *, moved: bool) -> None:
        require_safe(SCENES[self.name], self.journal(), self.kept().models, moved=moved)


@pytest.fixture(scope="module")
def moving() -> Iterator[Moving]:
    process = Moving()
    yield process
    process.close()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated(tmp_path_factory.mktemp("migrated"))


@pytest.fixture(scope="module")
def set_of(empty: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Set]:
    """A copy of a scene."""

    @cache
    def prepared(name: str) -> Path:
        folder = tmp_path_factory.mktemp("prepared")
        shutil.copyfile(empty, folder / "mlflow.db")
        kept = Kept(place_in(folder))
        prepare(SCENES[name], Rollouts(journal_in(folder), kept.models), kept.run)
        return folder

    def make(name: str) -> Set:
        folder = tmp_path_factory.mktemp("copied")
        for file in ("mlflow.db", "journal.db", "journal.anchor"):
            shutil.copyfile(prepared(name) / file, folder / file)
        return Set(name=name, folder=folder, artifacts=str(place_in(prepared(name)).artifacts))

    return make


def kill(moving: Moving, found: Set, at: int) -> None:
    """Killed there, the scene is as it was or as it should be; tried again, it is as it should be."""
    [ending] = moving.run(found.part(kill_at=at))
    assert ending["killed"]
    moved = "committed" in ending["steps"]
    found.require_safe(moved=moved)
    if not moved:
        [again] = moving.run(found.part())
        assert again["done"]
        found.require_safe(moved=True)


@pytest.mark.parametrize("name", sorted(SHORT))
def test_killed_while_it_moves_the_last_stable_version_is_live(moving, set_of, name):
    """S2-100, target R1."""
    control = set_of(name)
    [ending] = moving.run(control.part())
    assert (ending["well"], ending["done"]) == (True, True)
    control.require_safe(moved=True)
    for step in SHORT[name]:
        kill(moving, set_of(name), ending["steps"].index(step))


@pytest.mark.nightly
@pytest.mark.parametrize("name", sorted(SCENES))
def test_killed_at_every_step_of_every_scene_the_last_stable_version_is_live(moving, set_of, name):
    [ending] = moving.run(set_of(name).part())
    assert ending["done"]
    for at in range(len(ending["steps"])):
        kill(moving, set_of(name), at)


def race(moving: Moving, found: Set) -> None:
    """A step up and a roll-back of the same candidate at once."""
    endings = moving.run(found.part(), found.part(act="roll_back"))
    assert all(each["well"] for each in endings)
    number = live_now(found.journal(), MODEL).number
    won = sum(each["done"] for each in endings)
    lost = [name for each in endings for name in each["conflicts"]]
    rows = [row.key for row in found.journal().rows(kind="rollout")]
    assert rows == [f"rollout:{MODEL}:{at}" for at in range(1, number + 1)]
    # Whoever comes late enough sees what the other has done, and acts on that, or finds nothing to do.
    assert won + len(lost) == 2
    assert won >= 1
    assert set(lost) <= {"RolloutRaced"}
    live = live_now(found.journal(), MODEL)
    models = Rollouts(found.journal(), found.kept().models)
    models.switch.reconcile(MODEL)
    champion = models.champion()
    assert champion is not None
    assert champion.number == standing(live)[0]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def new_set(request, set_of, empty, tmp_path_factory) -> Callable[[], Set]:
    """A candidate at 30 percent, on a journal of each kind."""
    name = "to everybody"
    if request.param == "sqlite":
        return lambda: set_of(name)
    new_database = request.getfixturevalue("new_database")

    def make() -> Set:
        folder = tmp_path_factory.mktemp("on_postgres")
        shutil.copyfile(empty, folder / "mlflow.db")
        url = new_database().replace("postgresql://", "postgresql+psycopg2://")
        found = Set(name=name, folder=folder, artifacts=str(place_in(folder).artifacts), url=url)
        prepare(SCENES[name], Rollouts(found.journal(), found.kept().models), found.kept().run)
        return found

    return make


def test_of_a_step_and_a_roll_back_in_two_processes_one_row_follows_the_other(moving, new_set):
    for _ in range(2):
        race(moving, new_set())


@pytest.mark.nightly
def test_of_many_steps_and_roll_backs_in_two_processes_one_row_follows_the_other(moving, new_set):
    for _ in range(30):
        race(moving, new_set())
