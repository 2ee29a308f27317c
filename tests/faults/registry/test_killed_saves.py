"""Target R1 for models: killed anywhere, a version is whole or absent, and saving again heals."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stored import MODEL, Kept, migrated, place_in

SCRIPT = Path(__file__).with_name("saving_process.py")
STEPS = [
    "before coefficients.safetensors", "before manifest.hmac", "before manifest.json", "written", "inserted", "swept",
]  # fmt: skip
SEEN_AFTER = {"inserted": 1, "swept": 1}


class Saving:
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


@pytest.fixture(scope="module")
def saving() -> Iterator[Saving]:
    process = Saving()
    yield process
    process.close()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated(tmp_path_factory.mktemp("migrated"))


@pytest.fixture
def folder(tmp_path: Path, empty: Path) -> Path:
    shutil.copyfile(empty, tmp_path / "mlflow.db")
    return tmp_path


def require_whole(folder: Path, trainings: list[str]) -> None:
    """Exactly these trainings, each loadable, and no file beside them."""
    kept = Kept(place_in(folder))
    versions = kept.models.versions(MODEL)
    assert sorted(each.training_id for each in versions) == sorted(trainings)
    for version in versions:
        assert kept.models.load(MODEL, version.number).manifest.training_id == version.training_id
    assert len(kept.files("manifest.json")) == len(kept.files("MLmodel")) == len(trainings), "leftovers"


def test_killed_at_any_step_the_version_is_whole_or_absent(saving, folder):
    for step in STEPS:
        part = {"folder": str(folder), "training": step.replace(" ", "-")}
        (killed,) = saving.run({**part, "kill_at": STEPS.index(step)})
        assert (killed["killed"], killed["numbers"]) == (True, [])
        assert killed["steps"] == STEPS[: STEPS.index(step) + 1]
        kept = Kept(place_in(folder))
        seen = kept.models.with_training(MODEL, part["training"])
        assert (seen is not None) == bool(SEEN_AFTER.get(step, 0)), step
        if seen is not None:
            kept.models.load(MODEL, seen.number)
        (healed,) = saving.run(part)
        assert healed["well"]
        assert len(healed["numbers"]) == 1
    require_whole(folder, [step.replace(" ", "-") for step in STEPS])


def test_the_same_training_saved_by_two_at_once_is_one_version(saving, folder):
    part = {"folder": str(folder), "training": "one"}
    endings = saving.run(part, part)
    assert [each["well"] for each in endings] == [True, True]
    assert endings[0]["numbers"] == endings[1]["numbers"]
    require_whole(folder, ["one"])


def test_two_trainings_saved_at_once_are_two_versions(saving, folder):
    names = ["one", "two"]
    endings = saving.run(*({"folder": str(folder), "training": name} for name in names))
    assert sorted(number for each in endings for number in each["numbers"]) == [1, 2]
    require_whole(folder, names)


@pytest.mark.postgres
def test_on_a_server_too_two_who_save_at_once_agree(saving, new_database, tmp_path):
    """On an empty database, so that both make its tables at once too."""
    url = new_database().replace("postgresql://", "postgresql+psycopg2://")
    part = {"folder": str(tmp_path), "uri": url, "training": "one"}
    endings = saving.run(part, part, {**part, "training": "two"})
    assert [each["well"] for each in endings] == [True] * 3
    assert endings[0]["numbers"] == endings[1]["numbers"]
    kept = Kept(place_in(tmp_path, url))
    assert sorted(each.training_id for each in kept.models.versions(MODEL)) == ["one", "two"]
    assert len(kept.files("manifest.json")) == 2


def test_three_who_open_a_new_home_at_once_make_one_database(saving, tmp_path):
    endings = saving.run(*[{"folder": str(tmp_path), "open": True}] * 3)
    assert [each["well"] for each in endings] == [True] * 3
    assert not (tmp_path / ".mlflow.db.new").exists()
    Kept(place_in(tmp_path)).save()


def kill_at_random(saving: Saving, folder: Path, kills: int) -> int:
    chance = random.Random(7)  # noqa: S311 - a repeatable sequence, no secret
    live = 0
    for turn in range(kills):
        # Two at once, of the same training, killed at moments of their own.
        part = {"folder": str(folder), "training": f"training-{turn}"}
        endings = saving.run(*({**part, "kill_after": chance.uniform(0, 0.4)} for _ in range(2)))
        live += sum(each["killed"] for each in endings)
        kept = Kept(place_in(folder))
        for version in kept.models.versions(MODEL):
            kept.models.load(MODEL, version.number)
        assert saving.run(part)[0]["well"]
    require_whole(folder, [f"training-{turn}" for turn in range(kills)])
    return live


def test_killed_at_random_moments_no_version_is_half_there(saving, folder):
    assert kill_at_random(saving, folder, kills=3) > 0


@pytest.mark.nightly
def test_killed_at_many_random_moments_no_version_is_half_there(saving, folder):
    assert kill_at_random(saving, folder, kills=60) > 30
