"""Targets R1 and R6 for a whole materialisation: a run that is killed, or not alone."""

import os
import random
import signal
import time
from collections import Counter

import pytest

from tests.faults.materialising import SIX_SESSIONS, TWO_MONTHS, Ending, Materialising, Seen, Stage, commits, seen_in

NAMED_CONFLICT = "QP4"
# A run without steps to die at would pass without having tested anything.
FEWEST_STEPS = 30


def kill_at_random(materialising: Materialising, stage: Stage, *, kills: int, seed: int) -> int:
    """Kill one run after another, each in its own part of the time that the control wrote; how many were alive."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable sequence, no secret
    live, seconds = 0, stage.control.writing_seconds
    for part in range(kills):
        home = stage.copy()
        run = materialising.start(home, **stage.task)
        run.await_word("step")
        time.sleep((part + chance.random()) / kills * seconds)
        os.kill(run.pid, signal.SIGKILL)
        ending = materialising.end(run)
        live += ending.killed and not ending.success
        if ending.success:  # the machine is quicker by now than when the control ran
            seconds = min(seconds, ending.writing_seconds)
        stage.require_whole(home)
        stage.require_healed(home, materialising.run(home, **stage.task))
    return live


def test_killed_at_random_moments_a_run_leaves_whole_sessions_and_the_next_one_heals(materialising, stages):
    """R1: kill -9 at random: 0 torn, 0 acknowledged lost, the next run heals."""
    kills = 4
    live = kill_at_random(materialising, stages("first", SIX_SESSIONS), kills=kills, seed=11)
    assert live >= kills - 1, "a writer that had ended proves nothing"


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("delivery", ["first", "second"])
def test_killed_at_many_random_moments_a_run_leaves_whole_sessions(materialising, stages, delivery):
    """R1: kill -9 at 50 random: 0 torn, 0 acknowledged lost, the next run heals."""
    kills = 25
    live = kill_at_random(materialising, stages(delivery, TWO_MONTHS), kills=kills, seed=12)
    print(f"{live} of {kills} kills hit a live writer")  # noqa: T201 - how much was tested
    assert live >= 0.8 * kills, "a writer that had ended proves nothing"


def kill_at_step(materialising: Materialising, stage: Stage, step: int) -> dict[str, Seen]:
    """Die at one step of the lake; what a reader found before the next run healed it."""
    home = stage.copy()
    ending = materialising.run(home, kill_at=step, **stage.task)
    assert (ending.killed, ending.steps) == (True, stage.control.steps[: step + 1])
    found = stage.require_whole(home)
    stage.require_healed(home, materialising.run(home, **stage.task))
    return found


# Of prices: when its restatements are listed already, and when Dagster has not been told of it yet.
COMMIT_POINTS = (("replace before commit", -1), ("replace committed", -1))


def test_killed_around_its_commits_a_run_leaves_old_or_new_and_the_next_one_heals(materialising, stages):
    """R1: kill -9 at every commit point: 0 torn, 0 acknowledged lost, the next run heals. Here at the last one."""
    stage = stages("second", SIX_SESSIONS)
    found = [kill_at_step(materialising, stage, stage.step(*point)) for point in COMMIT_POINTS]
    for name, published in (("raw_bars", [True, True]), ("prices", [False, True])):
        assert stage.before[name] != stage.after[name]
        assert [each[name] == stage.after[name] for each in found] == published


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("delivery", ["first", "second"])
def test_killed_at_every_step_a_run_leaves_old_or_new_and_the_next_one_heals(materialising, stages, delivery):
    """R1: kill -9 at every commit point: 0 torn, 0 acknowledged lost, the next run heals."""
    stage = stages(delivery, SIX_SESSIONS)
    assert len(stage.control.steps) >= FEWEST_STEPS, stage.control.steps
    found = [kill_at_step(materialising, stage, step) for step in range(len(stage.control.steps))]
    for name in ("raw_bars", "prices"):
        published = [each[name] == stage.after[name] for each in found]
        assert published == sorted(published), "once visible, always visible"
        assert set(published) == {False, True}


def race(materialising: Materialising, stage: Stage) -> list[Ending]:
    """Two runs that meet at a step before the first commit, so that every repeat is a race."""
    home = stage.copy()
    # Not where they stand still: one that found the table there already has fewer steps behind it, and may be further.
    before = commits(home, "raw_bars")
    release = home / "go on"
    task = {"hold_at": stage.step("replace before commit", 0), "release": str(release), **stage.task}
    runs = [materialising.start(home, **task) for _ in range(2)]
    for run in runs:
        run.await_word("held")
    release.touch()
    endings = [materialising.end(run) for run in runs]
    assert commits(home, "raw_bars") == before + 1
    found = seen_in(home)
    assert found == stage.after
    return endings


def race_often(materialising: Materialising, stage: Stage, *, repeats: int) -> Counter[str]:
    """How the runs ended: with success, or with which named conflict."""
    ended: Counter[str] = Counter()
    for _ in range(repeats):
        endings = race(materialising, stage)
        assert any(ending.success for ending in endings)
        for ending in endings:
            assert not ending.killed
            assert ending.success or all(error.startswith(NAMED_CONFLICT) for error in ending.errors), ending.errors
            ended[" ".join(ending.errors) or "success"] += 1
    assert ended.total() == 2 * repeats
    return ended


def test_two_runs_over_the_same_sessions_make_one_commit(materialising, stages):
    """R6: two runs on one partition: one commit, one named conflict or an equal result."""
    race_often(materialising, stages("second", SIX_SESSIONS), repeats=3)


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("delivery", ["first", "second"])
def test_two_runs_over_the_same_sessions_make_one_commit_in_many_repeats(materialising, stages, delivery):
    """R6: two runs on one partition: one commit, one named conflict or an equal result, 20 repeats."""
    ended = race_often(materialising, stages(delivery, SIX_SESSIONS), repeats=20)
    print(dict(ended))  # noqa: T201 - how it was resolved
