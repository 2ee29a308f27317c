"""Target R1 for the journal: killed anywhere, the chain is whole, and no acknowledged row is lost."""

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quant_pipelines.clock import SystemClock
from quant_pipelines.journal import Entry, FileAnchor, Journal, sqlite_url

SCRIPT = Path(__file__).with_name("appending_process.py")
STEPS = ["locked", "inserted", "committed", "anchored"]
SEEN_AFTER = {"locked": 0, "inserted": 0, "committed": 1, "anchored": 1}


class Appending:
    """One process that forks a fresh writer for each task, so that many kills take seconds."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, place: "Place", **task: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"url": place.url, "anchor": str(place.anchor.path), **task}) + "\n")
        self._process.stdin.flush()

    def ending(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def run(self, place: "Place", **task: Any) -> dict[str, Any]:
        self.start(place, **task)
        return self.ending()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


class Place:
    """A journal's database and anchor."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.anchor = FileAnchor(folder / "journal.anchor")

    def journal(self) -> Journal:
        return Journal(self.url, self.anchor, clock=SystemClock())


@pytest.fixture(scope="module")
def appending() -> Iterator[Callable[[], Appending]]:
    made: list[Appending] = []

    def make(number: int) -> Appending:
        while len(made) <= number:
            made.append(Appending())
        return made[number]

    yield make
    for process in made:
        process.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(str(sqlite_url(tmp_path / "journal.db")), tmp_path)
    url = request.getfixturevalue("new_database")()
    return Place(url.replace("postgresql://", "postgresql+psycopg2://"), tmp_path)


@pytest.mark.parametrize("already", [0, 3])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_the_row_is_whole_or_absent(*, place, appending, step, already):
    """On an empty journal, where the anchor is new too, and on one with rows."""
    control = appending(0).run(place, name="before", count=already)
    assert (control["killed"], control["steps"]) == (False, STEPS * already)

    ending = appending(0).run(place, name="killed", count=1, kill_at=STEPS.index(step), once=True)
    assert ending["killed"]
    assert ending["steps"] == STEPS[: STEPS.index(step) + 1]
    assert ending["acknowledged"] == []
    journal = place.journal()
    assert journal.head().sequence == already + SEEN_AFTER[step]
    assert journal.verify() == [], "a crash is no tampering"

    healed = appending(0).run(place, name="killed", count=1, once=True)
    assert healed["acknowledged"] == [already + 1], "a retry writes once"
    assert journal.head().sequence == already + 1
    assert journal.verify() == []
    assert place.anchor.read() == journal.head()


def kill_at_random(place: Place, appending: Callable[[int], Appending], kills: int) -> tuple[int, int]:
    """Three writers at once, killed and started again; kills that hit, and acknowledged rows."""
    chance = random.Random(7)  # noqa: S311 - a repeatable sequence, no secret
    live, acknowledged = 0, {}
    for turn in range(kills):
        names = [f"writer {number} turn {turn}" for number in range(3)]
        for number, name in enumerate(names):
            # Five lines tell of each row.
            task = {"kill_after_lines": chance.randint(6, 25), "delay": chance.uniform(0, 0.02)}
            appending(number).start(place, name=name, count=100_000, **task)
        for number, name in enumerate(names):
            ending = appending(number).ending()
            live += ending["killed"]
            acknowledged |= {(name, at): sequence for at, sequence in enumerate(ending["acknowledged"])}
        assert place.journal().verify() == []
    rows = {row.sequence: row for row in place.journal().rows()}
    assert list(rows) == list(range(1, len(rows) + 1))
    for (name, number), sequence in acknowledged.items():
        assert rows[sequence].payload == {"name": f"{name} {number}"}, "an acknowledged row was lost"
    # One more per writer and turn at most: written, but killed before it could say so.
    assert len(acknowledged) <= len(rows) <= len(acknowledged) + 3 * kills
    place.journal().append(Entry(kind="note", subject="after", actor="a test"))
    return live, len(acknowledged)


def test_killed_at_random_moments_no_row_is_torn_forked_or_lost(place, appending):
    live, acknowledged = kill_at_random(place, appending, kills=8)
    assert live == 24
    assert acknowledged >= 24, "a writer that never gets to write proves nothing"


@pytest.mark.nightly
def test_killed_at_many_random_moments_no_row_is_torn_forked_or_lost(place, appending):
    live, acknowledged = kill_at_random(place, appending, kills=80)
    assert live == 240
    assert acknowledged >= 240
