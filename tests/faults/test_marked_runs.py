"""Target R2: a run that is marked failed while its process lives on publishes nothing from then on.

Where its process stands when somebody marks it is chosen: before a commit, in the middle of one, behind it. In the
middle the mark has to wait, so what the commit publishes comes before it. Everything is told apart by the clock:
each commit tells when it was made, each event of Dagster's when it was logged, and the marker when it was done.
"""

import os
import random
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from tests.faults.materialising import (
    MARKET,
    SIX_SESSIONS,
    TABLES,
    WAIT_SECONDS,
    Ending,
    Homes,
    Materialising,
    Stage,
    instance_at,
    lake_at,
)

RUN_IS_OVER = "QP402"
# While a run publishes: who marks it now has to wait.
PUBLISHING = frozenset({"replace before commit", "replace committed", "replace durable"})
# Who is not held would be through by then; on a machine that is busy it proves less, and fails nothing.
LOOK_SECONDS = 1.0


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def homes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Homes:
    """Here on both databases."""
    new_database = request.getfixturevalue("new_database") if request.param == "postgres" else None
    return Homes(tmp_path_factory.mktemp("homes"), new_database)


@dataclass(frozen=True)
class Mark:
    """When the run was marked failed: by the clock of the commits, and by that of the events."""

    monotonic: float
    epoch: float


def mark_failed(instance: dg.DagsterInstance) -> Mark:
    """What run monitoring does to a run whose worker seems gone."""
    (run,) = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    instance.report_run_failed(run)
    return Mark(time.monotonic(), time.time())


def outputs(home: Path) -> int:
    """Sessions with content of their own in the lake's history, and materialisations that Dagster was told of."""
    lake = lake_at(home)
    written = sum(entry.sessions for schema in TABLES for entry in lake.table(MARKET, schema).history())
    return written + len(events(home))


def events(home: Path) -> list[float]:
    """When each materialisation was logged."""
    with instance_at(home) as instance:
        keys = [dg.AssetKey([MARKET, name]) for name in ("raw_bars", "prices")]
        return [each.timestamp for key in keys for each in instance.fetch_materializations(key, limit=1000).records]


def outputs_after(mark: Mark, home: Path, ending: Ending) -> list[str]:
    commits = [point for point, at in ending.told if point == "replace committed" and at > mark.monotonic]
    return commits + [f"an event, {at - mark.epoch:.3f} s later" for at in events(home) if at > mark.epoch]


@dataclass(frozen=True)
class Marked:
    """A run that was stopped at a step, marked failed there, and let go on."""

    point: str
    published_before: int
    published: int
    after: list[str]
    ending: Ending


def marked_at(materialising: Materialising, stage: Stage, step: int) -> Marked:
    home, point = stage.copy(), stage.control.steps[step]
    release = home / "go on"
    run = materialising.start(home, hold_at=step, release=str(release), **stage.task)
    run.await_word("held")
    before = outputs(home)
    with instance_at(home) as instance, ThreadPoolExecutor(1) as pool:
        marking: Future[Mark] = pool.submit(mark_failed, instance)
        if point in PUBLISHING:
            assert wait_for([marking], timeout=LOOK_SECONDS).not_done, f"nothing held the run at {point!r}"
        else:
            marking.result(WAIT_SECONDS)
        release.touch()
        mark = marking.result(WAIT_SECONDS)
    ending = materialising.end(run)
    return Marked(point, before, outputs(home), outputs_after(mark, home, ending), ending)


def wrongs_of(marked: Marked) -> list[str]:
    """What is wrong with how the run ended."""
    ending = marked.ending
    wrongs = [f"published after the mark: {each}" for each in marked.after]
    if marked.point not in PUBLISHING and marked.published != marked.published_before:
        wrongs.append(f"{marked.published - marked.published_before} outputs more")
    if (ending.killed, ending.success, ending.errors) != (False, False, (RUN_IS_OVER,)):
        wrongs.append(f"it ended otherwise: {ending.killed=} {ending.success=} {ending.errors=}")
    return [f"at {marked.point!r}: {each}" for each in wrongs]


def require_control_publishes(stage: Stage) -> None:
    """The control: the same run, left alone, publishes at every one of these points."""
    assert stage.control.success
    assert stage.control.steps.count("replace committed") >= len(TABLES) - 1
    assert stage.before != stage.after


# The fence of the first commit, and the commit of prices, with its restatements published already.
POINTS = (("folder synced", 1), ("replace before commit", 0), ("replace before commit", -1), ("replace durable", 0))


def test_a_run_that_was_marked_failed_publishes_nothing_more(materialising, stages):
    """R2: 0 outputs from a run after it is marked failed, in the middle of a commit too."""
    stage = stages("second", SIX_SESSIONS)
    require_control_publishes(stage)
    for point, occurrence in POINTS:
        marked = marked_at(materialising, stage, stage.step(point, occurrence))
        assert wrongs_of(marked) == []


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_a_run_that_was_marked_failed_at_any_step_publishes_nothing_more(materialising, stages):
    """R2: 0 outputs from a run after it is marked failed, in 20 kills: at each step of each table, of both kinds."""
    wrongs: list[str] = []
    ended = 0
    for delivery in ("first", "second"):
        stage = stages(delivery, SIX_SESSIONS)
        require_control_publishes(stage)
        for step in range(len(stage.control.steps)):
            marked = marked_at(materialising, stage, step)
            wrongs += [f"{delivery} delivery, step {step} {wrong}" for wrong in wrongs_of(marked)]
            ended += 1
    assert wrongs == []
    assert ended >= 20


def mark_at_random(materialising: Materialising, stage: Stage, *, marks: int, seed: int) -> int:
    """Mark one run after another, each in its own part of the time that the control took; how many were at work."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable sequence, no secret
    seconds = stage.control.told[stage.step("replace durable", -1)][1] - stage.control.told[0][1]
    at_work = 0
    for part in range(marks):
        home = stage.copy()
        with instance_at(home) as instance:
            run = materialising.start(home, **stage.task)
            run.await_word("step")
            time.sleep((part + chance.random()) / marks * seconds)
            alive = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
            mark = mark_failed(instance) if alive else None
        ending = materialising.end(run)
        if mark is None:
            continue
        assert outputs_after(mark, home, ending) == []
        assert all(error == RUN_IS_OVER for error in ending.errors)
        at_work += bool(ending.errors)
    return at_work


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_a_run_that_was_marked_failed_at_random_publishes_nothing_more(materialising, stages):
    """R2: 0 outputs from a run after it is marked failed, in 20 kills."""
    marks = 20
    at_work = mark_at_random(materialising, stages("second", SIX_SESSIONS), marks=marks, seed=13)
    print(f"{at_work} of {marks} marks hit a run that had yet to publish")  # noqa: T201 - how much was tested
    assert at_work >= marks // 4, "a run that had published everything proves nothing"


def test_a_run_that_dies_while_it_publishes_keeps_nobody_waiting(materialising, stages):
    """The row is free as soon as the process is gone, and the next run heals."""
    stage = stages("second", SIX_SESSIONS)
    home = stage.copy()
    run = materialising.start(
        home, hold_at=stage.step("replace before commit", -1), release=str(home / "never"), **stage.task
    )
    run.await_word("held")
    os.kill(run.pid, signal.SIGKILL)
    assert materialising.end(run).killed
    with instance_at(home) as instance, ThreadPoolExecutor(1) as pool:
        pool.submit(mark_failed, instance).result(LOOK_SECONDS * 5)
    stage.require_whole(home)
    stage.require_healed(home, materialising.run(home, **stage.task))
