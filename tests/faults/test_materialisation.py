"""Targets R1, R2 and R6 for a whole materialisation: a run that is killed, ended from outside, or not alone.

The market is made of files, so that every table has rows: a few bars are broken, hence held out, and the second
delivery says something else than the first about many sessions, hence restatements.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from quant_pipelines.calendars import Session, calendar_named, parse_session, session_key
from quant_pipelines.calendars.calendar import midnight
from quant_pipelines.clock import SystemClock
from quant_pipelines.journal import sqlite_url
from quant_pipelines.lake import Lake, Table, tables
from quant_pipelines.lineage import Content, Lineage
from tests.installation import PROJECT

SCRIPT = Path(__file__).with_name("materialising_process.py")
MARKET = "tiny"
LISTED = date(2024, 1, 2)
TWO_MONTHS = ("2024-01-02", "2024-02-29")
# Over the end of a month too, so the steps of the lake are the same; a third of the work, for the default run.
SIX_SESSIONS = ("2024-01-29", "2024-02-05")
SYMBOLS = tuple(f"60000{number}.SH" for number in range(1, 7))
TABLES = (tables.RAW_BARS, tables.QUARANTINE, tables.RESTATEMENTS, tables.PRICES)
WAIT_SECONDS = 60.0
RUN_IS_OVER = "QP402"
NAMED_CONFLICT = "QP4"
# A run without steps to die at would pass without having tested anything.
FEWEST_STEPS = 30


def write_files(folder: Path, *, delivery: int) -> None:
    """Every symbol's bars over two months; the second delivery restates every third session of every other symbol."""
    folder.mkdir(parents=True)
    sessions = calendar_named("XSHG").sessions(midnight(LISTED), parse_session(TWO_MONTHS[1]))
    for row, symbol in enumerate(SYMBOLS):
        lines = ["date,open,high,low,close,volume"]
        for number, session in enumerate(sessions):
            close = round(10 + row + 0.05 * ((number * (row + 3)) % 7), 2)
            restated = delivery == 2 and number % 3 == 0 and row % 2 == 0
            close = round(close + 0.03, 2) if restated else close
            broken = row == 1 and number % 10 == 9
            high = close - 1 if broken else close + 0.2
            lines.append(f"{session_key(session)},{close},{high:.2f},{close - 0.2:.2f},{close},{1000 + number}")
        (folder / f"{symbol}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def market(folder: Path) -> dict[str, Any]:
    return {
        "name": MARKET, "description": "A tiny market.", "calendar": "XSHG", "currency": "CNY",
        "first_session": LISTED.isoformat(), "source": {"kind": "files", "path": str(folder)},
        "missing_bar": "suspended", "rules": "a_share", "quality": {"on_hard_finding": "quarantine"},
    }  # fmt: skip


@dataclass(frozen=True)
class Ending:
    """How a run's process ended: killed or not, with success or with which errors, after which steps of the lake."""

    killed: bool
    success: bool
    errors: tuple[str, ...]
    steps: tuple[str, ...]
    writing_seconds: float


@dataclass(frozen=True)
class Run:
    """The process of a run under way."""

    pid: int
    report: Path

    def told(self) -> list[dict[str, Any]]:
        if not self.report.exists():
            return []
        lines = self.report.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def await_word(self, name: str) -> None:
        """Until it tells of its first step, or that it stands still."""
        ends = time.monotonic() + WAIT_SECONDS
        while not any(name in each for each in self.told()):
            log = Path(f"{self.report}.log")
            assert time.monotonic() < ends, log.read_text(encoding="utf-8") if log.exists() else "it never began"
            time.sleep(0.002)


class Materialising:
    """Starts runs, each in a process of its own session."""

    def __init__(self, folder: Path) -> None:
        self._reports = (folder / f"report-{number}" for number in count())
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(SCRIPT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT,
            env={**os.environ, "QP_PROJECT": str(PROJECT)},
        )  # fmt: skip

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(self, home: Path, **task: Any) -> Run:
        report = next(self._reports)
        task |= {"home": str(home), "report": str(report)}
        return Run(self._ask(start=task)["pid"], report)

    def end(self, run: Run) -> Ending:
        killed = self._ask(wait=run.pid)["killed"]
        told = run.told()
        result = next((each for each in told if "success" in each), {"success": False, "errors": ()})
        steps = [each for each in told if "step" in each]
        return Ending(
            killed=killed,
            success=result["success"],
            errors=tuple(result["errors"]),
            steps=tuple(each["step"] for each in steps),
            writing_seconds=told[-1]["at"] - steps[0]["at"] if steps else 0.0,
        )

    def run(self, home: Path, **task: Any) -> Ending:
        return self.end(self.start(home, **task))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=WAIT_SECONDS)
        self._process.stdout.close()


# A session as a reader sees it: its content id and its number of rows.
Seen = Mapping[Session, tuple[str, int]]


def seen_in(home: Path) -> dict[str, Seen]:
    """Every session of every table, by the product's own reader; no file is damaged."""
    lake = Lake(str(home / "lake"), clock=SystemClock())
    found: dict[str, Seen] = {}
    for schema in TABLES:
        table = lake.table(MARKET, schema)
        assert table.verify() == []
        rows = Counter(table.read(columns=["session"])["session"].to_pylist())
        ids = _bars_held_out(table) if schema is tables.QUARANTINE else table.session_ids()
        assert rows.keys() == ids.keys()
        found[schema.name] = {session: (ids[session], rows[session]) for session in ids}
    return found


def _bars_held_out(table: Table) -> dict[Session, str]:
    """Which bars and why. Its content ids differ from run to run: `row` says when the bar was fetched."""
    held: dict[Session, str] = {}
    for row in table.read().to_pylist():
        said = json.dumps([row["symbol"], row["occurrence"], row["rule"], row["reason"]])
        held[row["session"]] = held.get(row["session"], "") + said
    return held


def commits(home: Path, name: str) -> int:
    """How often the content of a table was changed."""
    table = Lake(str(home / "lake"), clock=SystemClock()).table(MARKET, tables.TABLES[name])
    return sum(entry.operation == "replace" for entry in table.history())


def shown_by_dagster(home: Path, name: str) -> dict[str, str]:
    """The content id of each session whose materialisation Dagster was told of, the newest event first."""
    shown: dict[str, str] = {}
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for record in instance.fetch_materializations(dg.AssetKey([MARKET, name]), limit=1000).records:
            shown.setdefault(record.partition_key, record.asset_materialization.tags["dagster/data_version"])
    return shown


@dataclass(frozen=True)
class Stage:
    """A home as it lies before the run, what the run materialises, and what it makes of that when left alone."""

    name: str
    prepared: Path
    task: dict[str, Any]
    before: dict[str, Seen]
    after: dict[str, Seen]
    control: Ending
    recorded: set[str]
    _copies: Iterator[int] = field(default_factory=count)

    def copy(self) -> Path:
        """A home of its own for one run."""
        return Path(shutil.copytree(self.prepared, self.prepared.with_name(f"{self.name}-{next(self._copies)}")))

    def step(self, point: str, occurrence: int) -> int:
        """Where the control run took a step for the n-th time; -1 is the last."""
        return [index for index, each in enumerate(self.control.steps) if each == point][occurrence]

    def require_whole(self, home: Path) -> dict[str, Seen]:
        """Every session is as before or as after, nothing is lost that Dagster was told of, no restatement either."""
        found = seen_in(home)
        for name, sessions in found.items():
            before, after = self.before[name], self.after[name]
            torn = [
                session
                for session in before.keys() | after.keys() | sessions.keys()
                if sessions.get(session) not in (before.get(session), after.get(session))
            ]
            assert torn == [], f"torn in {name}"
        for name in (tables.RAW_BARS.name, tables.PRICES.name):
            ids = {session_key(session): content_id for session, (content_id, _) in found[name].items()}
            new = {session_key(session): content_id for session, (content_id, _) in self.after[name].items()}
            lost = [key for key, shown in shown_by_dagster(home, name).items() if shown == new[key] != ids.get(key)]
            assert lost == [], f"acknowledged in {name}, and lost"
        if found["prices"] != self.before["prices"]:
            assert found["restatements"] == self.after["restatements"], "published before its restatements were listed"
        require_traceable(home, found)
        return found

    def require_healed(self, home: Path, ending: Ending) -> None:
        """The next run made of it what the control made."""
        assert (ending.killed, ending.success, ending.errors) == (False, True, ())
        assert seen_in(home) == self.after
        for name in (tables.RAW_BARS.name, tables.PRICES.name):
            ids = {session_key(session): content_id for session, (content_id, _) in self.after[name].items()}
            assert shown_by_dagster(home, name) == ids
        require_traceable(home, self.after)
        assert on_record(home) == self.recorded, "recorded once, however often it was tried"


def require_traceable(home: Path, found: Mapping[str, Seen]) -> None:
    """What is visible is on record: lineage goes before the commit."""
    lineage = Lineage(sqlite_url(home / "journal.db"), clock=SystemClock())
    for name in (tables.RAW_BARS.name, tables.PRICES.name):
        for session, (content_id, _) in found[name].items():
            traced = lineage.origin(Content(MARKET, name, session, content_id))
            assert {node.name for node in traced.nodes} >= {name, tables.RAW_BARS.name}


def on_record(home: Path) -> set[str]:
    """Every node of the lineage."""
    nodes, _ = Lineage(sqlite_url(home / "journal.db"), clock=SystemClock()).named("")
    return {node.id for node in nodes}


def empty_home(folder: Path) -> Path:
    """One process makes the stores: a stock Dagster home does not survive several first users."""
    folder.mkdir()
    with dg.instance_for_test(temp_dir=str(folder)) as instance:
        assert instance.get_runs_count() == 0
    return folder


def stage(materialising: Materialising, prepared: Path, source: Path, sessions: tuple[str, str]) -> Stage:
    """Look at the home, and let a run be that nobody disturbs."""
    name = f"{source.name}-{'-'.join(sessions)}"
    home = Path(shutil.copytree(prepared, prepared.with_name(f"{name}-control")))
    task = {"market": market(source), "first": sessions[0], "last": sessions[1]}
    control = materialising.run(home, **task)
    assert (control.killed, control.success, control.errors) == (False, True, ())
    return Stage(name, prepared, task, seen_in(prepared), seen_in(home), control, on_record(home))


@pytest.fixture(scope="module")
def materialising(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Materialising]:
    process = Materialising(tmp_path_factory.mktemp("reports"))
    yield process
    process.close()


@pytest.fixture(scope="module")
def stages(
    materialising: Materialising, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, tuple[str, str]], Stage]:
    """An empty home, or one that holds the first delivery while the source says something else since."""
    folder = tmp_path_factory.mktemp("homes")
    empty = empty_home(folder / "empty")
    for number, delivery in enumerate(("first", "second"), start=1):
        write_files(folder / delivery, delivery=number)

    @cache
    def made(delivery: str, sessions: tuple[str, str]) -> Stage:
        prepared = empty
        if delivery == "second":
            prepared = folder / f"{made('first', sessions).name}-control"
        return stage(materialising, prepared, folder / delivery, sessions)

    return made


def kill_at_random(materialising: Materialising, stage: Stage, *, kills: int, seed: int) -> int:
    """Kill one run after another, each in its own part of the time that the control wrote; how many were alive."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable sequence, no secret
    live = 0
    for part in range(kills):
        home = stage.copy()
        run = materialising.start(home, **stage.task)
        run.await_word("step")
        time.sleep((part + chance.random()) / kills * stage.control.writing_seconds)
        os.kill(run.pid, signal.SIGKILL)
        ending = materialising.end(run)
        live += ending.killed and not ending.success
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


def end_while_it_works(materialising: Materialising, stage: Stage, step: int, *, marked: bool) -> tuple[int, Ending]:
    """Stop the run at a step, mark it failed or not, let it go on; what it published then, and how it ended."""
    home = stage.copy()
    release = home / "go on"
    run = materialising.start(home, hold_at=step, release=str(release), **stage.task)
    run.await_word("held")
    before = outputs(home)
    if marked:
        mark_failed(home)
    release.touch()
    ending = materialising.end(run)
    return outputs(home) - before, ending


def outputs(home: Path) -> int:
    """Sessions with content of their own in the lake's history, and materialisations that Dagster was told of."""
    lake = Lake(str(home / "lake"), clock=SystemClock())
    written = sum(entry.sessions for schema in TABLES for entry in lake.table(MARKET, schema).history())
    with dg.DagsterInstance.from_config(str(home)) as instance:
        keys = [dg.AssetKey([MARKET, name]) for name in ("raw_bars", "prices")]
        return written + sum(len(instance.fetch_materializations(key, limit=1000).records) for key in keys)


def mark_failed(home: Path) -> None:
    """What run monitoring does to a run whose worker seems gone."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        (run,) = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        instance.report_run_failed(run)


def require_fenced(materialising: Materialising, stage: Stage, step: int) -> None:
    published, ending = end_while_it_works(materialising, stage, step, marked=False)
    assert (ending.success, ending.errors) == (True, ())
    assert published > 0, "a run that never publishes proves nothing"
    published, ending = end_while_it_works(materialising, stage, step, marked=True)
    assert (ending.killed, ending.success, ending.errors) == (False, False, (RUN_IS_OVER,))
    assert published == 0


def test_a_run_that_was_marked_failed_publishes_nothing_more(materialising, stages):
    """R2: 0 outputs from a run after it is marked failed. Its process lives on, up to the fence of its first commit."""
    stage = stages("second", SIX_SESSIONS)
    require_fenced(materialising, stage, stage.step("folder synced", 1))


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_run_that_was_marked_failed_at_any_of_its_files_publishes_nothing_more(materialising, stages):
    """R2: 0 outputs from a run after it is marked failed, in 20 kills: at each file of each table, of both kinds."""
    ended = 0
    for delivery in ("first", "second"):
        stage = stages(delivery, SIX_SESSIONS)
        for step in [index for index, each in enumerate(stage.control.steps) if each in {"file begun", "file synced"}]:
            require_fenced(materialising, stage, step)
            ended += 1
    assert ended >= 20


def race(materialising: Materialising, stage: Stage) -> list[Ending]:
    """Two runs that meet right before the first commit of either, so that every repeat is a race."""
    home = stage.copy()
    release = home / "go on"
    task = {"hold_at": stage.step("replace before commit", 0), "release": str(release), **stage.task}
    runs = [materialising.start(home, **task) for _ in range(2)]
    for run in runs:
        run.await_word("held")
    before = commits(home, "raw_bars")
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
