"""Two years of a daemon that is stopped, killed and set back: exactly the runs of a slow definition, each once."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from quant_pipelines.clock import FixedClock
from quant_pipelines.journal import FileAnchor, Journal, sqlite_url
from quant_pipelines.triggers import Checker, Watch, scheduler_audits
from sensors.triggers import cursor_of, request, sessions_of
from tests.unit.triggers.conftest import CLOCK, FIRST, LAST, all_days, errors_at, last_of_each, market_of, strategy_of

STRATEGY = strategy_of()
MINUTE = timedelta(minutes=1)


def planted_errors(days, seed):
    """Errors around 1, and three spells in which they are three times as large."""
    random = np.random.default_rng(seed)
    values = 1 + random.random(len(days)) * 0.2
    for place in random.integers(len(days) // 3, len(days) * 3 // 4, 3):
        values[place : place + 35] *= 3
    return values


def expected_runs(calendar, errors):
    """The runs by the words of X-22..X-24, session after session, with sums over plain lists."""
    days = all_days(calendar)
    weeks, months, quarters = (last_of_each(days, period) for period in ("W-SUN", "M", "Q"))
    runs, last_decay = {}, None
    for number, day in enumerate(days):
        if not FIRST <= day <= LAST:
            continue
        known = [error for at, resolves, error in errors if resolves <= day]
        before, recent = known[:-20], known[-20:]
        decayed = len(known) >= 60 and sum(recent) / 20 > 1.5 * sum(before) / len(before)
        decayed = decayed and (last_decay is None or number - last_decay >= 5)
        true = [name for name, there in (
            ("monthly", day in months), ("quarterly", day in quarters), ("performance_decay", decayed),
            ("weekly", day in weeks),
        ) if there]  # fmt: skip
        if decayed:
            last_decay = number
        if true:
            name = "quarterly" if "quarterly" in true else true[0]
            runs[day] = (name, ",".join(true), "incremental" if name == "weekly" else "full")
    return runs


@dataclass
class Daemon:
    """Ticks, and launches each run key once, as Dagster's does. What it keeps outlives it, but for what is lost."""

    market: object
    errors: object
    folder: object
    cursor: str | None = None
    launched: dict = field(default_factory=dict)
    keys: list = field(default_factory=list)

    def __post_init__(self) -> None:
        place = sqlite_url(self.folder / "journal.db")
        self.journal = Journal(place, FileAnchor(self.folder / "journal.anchor"), clock=CLOCK)

    def watch(self, now):
        calendar = self.market.sessions_calendar

        def inputs_of(_, window):
            closed = calendar.sessions(window.first, min(window.last, LAST))
            return {each for each in closed if calendar.close_of(each) + 5 * MINUTE <= now}

        checker = Checker(
            market=self.market,
            journal=self.journal,
            retrain_of=lambda strategy: strategy.retrain,
            errors_of=lambda *_: self.errors,
        )
        return Watch(checker=checker, inputs_of=inputs_of, actor="a test")

    def tick(self, now, *, dies=None):
        closed = self.market.sessions_calendar.last_closed(FixedClock(now).now())
        outcome = self.watch(now).look([STRATEGY], sessions_of(self.cursor), closed)
        if dies == "before launching":
            return
        for each in outcome.recorded:
            if each.audit.decision.trigger is not None:
                self.launch(request(self.market, each, STRATEGY.retrain))
        if dies != "before the cursor is saved":
            self.cursor = cursor_of(outcome.cursor)

    def launch(self, asked):
        self.keys.append(asked.run_key)
        session = datetime.fromisoformat(str(asked.partition_key).partition("|")[0])
        self.launched.setdefault(
            asked.run_key, (session, (asked.tags["trigger"], asked.tags["trigger_reasons"], asked.tags["mode"]))
        )

    def runs(self):
        assert len({session for session, _ in self.launched.values()}) == len(self.launched)
        return dict(self.launched.values())


@pytest.fixture(params=["XSHG", "XNYS", "24/7"])
def calendar(request):
    return request.param


@pytest.fixture
def memory(tmp_path):
    """A folder in memory where there is one: two years are a thousand rows, and a disk takes ten times as long."""
    shared = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    if not shared.is_dir():
        yield tmp_path
        return
    with TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


@pytest.fixture
def daemon(calendar, memory):
    days = [each for each in all_days(calendar) if datetime(2022, 6, 1) <= each <= LAST]
    errors = errors_at(days[:-1], planted_errors(days[:-1], seed=5), resolves_after=timedelta(hours=1))
    return Daemon(market_of(calendar), errors, memory)


def slow_errors(daemon):
    found = daemon.errors
    return list(zip(found.session.tolist(), found.resolves.tolist(), found.absolute_error.tolist(), strict=True))


def hours(first, last, step):
    at = first
    while at <= last:
        yield at
        at += step


def began(daemon):
    """Switched on before the first session of the two years, so that it is the first to be evaluated."""
    calendar = daemon.market.sessions_calendar
    first = calendar.sessions(FIRST, LAST)[0]
    daemon.cursor = cursor_of({STRATEGY.name: calendar.offset(first, -1)})


def test_two_years_start_exactly_the_runs_of_the_definition(calendar, daemon):
    """S3-49..S3-53, X-22..X-24."""
    began(daemon)
    for now in hours(datetime(2023, 1, 1, 23, tzinfo=UTC), datetime(2025, 1, 3, 23, tzinfo=UTC), timedelta(days=1)):
        daemon.tick(now)
    wanted = expected_runs(calendar, slow_errors(daemon))
    assert daemon.runs() == wanted
    assert {name for name, _, _ in wanted.values()} == {"weekly", "monthly", "quarterly", "performance_decay"}
    assert len(daemon.keys) == len(set(daemon.keys)) == len(wanted)
    sessions = daemon.market.sessions_calendar.sessions(FIRST, LAST)
    audits = scheduler_audits(daemon.journal, market="m", strategy="s", last=2000)
    assert [each.audit.window.session for each in audits] == sessions


def test_a_daemon_that_dies_pauses_and_is_set_back_starts_the_same_runs(calendar, daemon):
    """Killed at its worst moments, its cursor kept or lost, off for weeks, its clock set back by days."""
    began(daemon)
    random = np.random.default_rng(8)
    now, end = datetime(2023, 1, 1, 23, tzinfo=UTC), datetime(2025, 1, 3, 23, tzinfo=UTC)
    deaths = [None, None, "before launching", "before the cursor is saved"]
    first_tick = True
    while now < end:
        if random.random() < 0.15 and not first_tick:
            daemon.cursor = None
        back = timedelta(days=int(random.integers(1, 9))) if random.random() < 0.1 else timedelta()
        daemon.tick(max(now - back, datetime(2023, 1, 5, tzinfo=UTC)), dies=random.choice(deaths))
        first_tick = daemon.cursor is not None and first_tick and not daemon.keys
        now += timedelta(days=int(random.choice([1, 2, 3, 25], p=[0.6, 0.2, 0.15, 0.05])))
    while (before := daemon.cursor) != (daemon.tick(end), daemon.cursor)[1]:
        assert before != daemon.cursor
    assert daemon.runs() == expected_runs(calendar, slow_errors(daemon))
    assert len(daemon.keys) > len(set(daemon.keys))  # Dagster was asked again, and launched nothing again
    audits = scheduler_audits(daemon.journal, market="m", strategy="s", last=2000)
    sessions = [each.audit.window.session for each in audits]
    assert sessions == daemon.market.sessions_calendar.sessions(FIRST, LAST)
