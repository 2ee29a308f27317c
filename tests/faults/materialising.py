"""What the tests of a whole materialisation stand on: runs in processes of their own, homes to copy, what is seen.

The market is made of files, so that every table has rows: a few bars are broken, hence held out, and the second
delivery says something else than the first about many sessions, hence restatements.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from quant_pipelines.calendars import Session, calendar_named, parse_session, session_key
from quant_pipelines.calendars.calendar import midnight
from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Lake, Table, tables
from quant_pipelines.lineage import Content, Lineage, open_lineage
from quant_pipelines.settings import Settings
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
# The project's own storage, which follows the two variables of `environment_of`.
INSTANCE = "storage: {custom: {module: resources.instance, class: ProjectStorage, config: {}}}\n"
DATABASE_URL = "database_url"


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
    """How a run's process ended: killed or not, with success or with which errors; each step of the lake, and when."""

    killed: bool
    success: bool
    errors: tuple[str, ...]
    told: tuple[tuple[str, float], ...]
    writing_seconds: float

    @property
    def steps(self) -> tuple[str, ...]:
        return tuple(point for point, _ in self.told)


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
        task |= {"home": str(home), "report": str(report), "environment": environment_of(home)}
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
            told=tuple((each["step"], each["at"]) for each in steps),
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


def lake_at(home: Path) -> Lake:
    return Lake(str(home / "lake"), clock=SystemClock())


def seen_in(home: Path) -> dict[str, Seen]:
    """Every session of every table, by the product's own reader; no file is damaged."""
    lake = lake_at(home)
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
    table = lake_at(home).table(MARKET, tables.TABLES[name])
    return sum(entry.operation == "replace" for entry in table.history())


def shown_by_dagster(home: Path, name: str) -> dict[str, str]:
    """The content id of each session whose materialisation Dagster was told of, the newest event first."""
    shown: dict[str, str] = {}
    with instance_at(home) as instance:
        for record in instance.fetch_materializations(dg.AssetKey([MARKET, name]), limit=1000).records:
            shown.setdefault(record.partition_key, record.asset_materialization.tags["dagster/data_version"])
    return shown


@dataclass(frozen=True)
class Stage:
    """A home as it lies before the run, what the run materialises, and what it makes of that when left alone."""

    name: str
    homes: "Homes"
    prepared: Path
    task: dict[str, Any]
    before: dict[str, Seen]
    after: dict[str, Seen]
    control: Ending
    recorded: set[str]
    _copies: Iterator[int] = field(default_factory=count)

    def copy(self) -> Path:
        """A home of its own for one run."""
        return self.homes.copy(self.prepared, f"{self.name}-{next(self._copies)}")

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


def lineage_at(home: Path) -> Lineage:
    """In the database of the home's runs."""
    url = environment_of(home).get("QP_DATABASE_URL") or None
    return open_lineage(Settings(project=PROJECT, home=home, database_url=url), clock=SystemClock())


def require_traceable(home: Path, found: Mapping[str, Seen]) -> None:
    """What is visible is on record: lineage goes before the commit."""
    lineage = lineage_at(home)
    for name in (tables.RAW_BARS.name, tables.PRICES.name):
        for session, (content_id, _) in found[name].items():
            traced = lineage.origin(Content(MARKET, name, session, content_id))
            assert {node.name for node in traced.nodes} >= {name, tables.RAW_BARS.name}


def on_record(home: Path) -> set[str]:
    """Every node of the lineage."""
    nodes, _ = lineage_at(home).named("")
    return {node.id for node in nodes}


def environment_of(home: Path) -> dict[str, str]:
    """What leads the project's storage to the home's database."""
    url = home / DATABASE_URL
    database = {"QP_DATABASE_URL": url.read_text(encoding="utf-8")} if url.exists() else {}
    return {"QP_PROJECT": str(PROJECT), "QP_HOME": str(home), **database}


@contextmanager
def instance_at(home: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster as the home's runs see it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("QP_DATABASE_URL", raising=False)
        for name, value in environment_of(home).items():
            patch.setenv(name, value)
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield instance


@dataclass(frozen=True)
class Homes:
    """Makes and copies homes. `new_database` makes a PostgreSQL database, or a copy of one; None: SQLite."""

    folder: Path
    new_database: Callable[..., str] | None = None

    def empty(self) -> Path:
        """One process makes the stores: a stock Dagster home does not survive several first users."""
        home = self.folder / "empty"
        home.mkdir()
        (home / "dagster.yaml").write_text(INSTANCE, encoding="utf-8")
        if self.new_database is not None:
            (home / DATABASE_URL).write_text(self.new_database(), encoding="utf-8")
        with instance_at(home) as instance:
            assert instance.get_runs_count() == 0
        return home

    def copy(self, home: Path, name: str) -> Path:
        made = Path(shutil.copytree(home, self.folder / name))
        if self.new_database is not None:
            url = (home / DATABASE_URL).read_text(encoding="utf-8")
            (made / DATABASE_URL).write_text(self.new_database(copied_from=url), encoding="utf-8")
        return made


def stage(materialising: Materialising, homes: Homes, prepared: Path, source: Path, sessions: tuple[str, str]) -> Stage:
    """Look at the home, and let a run be that nobody disturbs."""
    name = f"{source.name}-{'-'.join(sessions)}"
    home = homes.copy(prepared, f"{name}-control")
    task = {"market": market(source), "first": sessions[0], "last": sessions[1]}
    control = materialising.run(home, **task)
    assert (control.killed, control.success, control.errors) == (False, True, ())
    return Stage(name, homes, prepared, task, seen_in(prepared), seen_in(home), control, on_record(home))
