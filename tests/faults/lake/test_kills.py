"""Target R1: killed at every step and at random moments, a table is whole, and nothing acknowledged is lost."""

import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from quant_pipelines.lake import Table

FIRST = datetime(2024, 1, 1)
# Each task, what must lie there before, and the days it writes. Two months make a commit of several files;
# the ninth file of a month makes it merge; the fiftieth version makes a checkpoint.
SCENARIOS = {
    "first write": ([], (0, 39)),
    "restatement": ([(0, 39)], (0, 39)),
    "part of two files": ([(0, 39)], (25, 35)),
    "merge of a crowded month": ([(day, day) for day in range(8)], (8, 8)),
    "new month": ([(day, day) for day in range(28, 31)], (31, 31)),
    "checkpoint": ([(0, 1)] * 49, (0, 1)),
}
# A scenario without steps to die at would pass without having tested anything.
FEWEST_STEPS = {
    "first write": 15,
    "restatement": 13,
    "part of two files": 13,
    "merge of a crowded month": 16,
    "new month": 16,
    "checkpoint": 10,
}


def prepare(table: Table, rows, days, writer, steps: list[tuple[int, int]]) -> dict[int, int]:
    """Write generation after generation; what each day holds then."""
    held: dict[int, int] = {}
    for generation, (first, last) in enumerate(steps):
        table.replace(rows(range(first, last + 1), generation), window=days(first, last), writer=writer)
        held |= dict.fromkeys(range(first, last + 1), generation)
    return held


def held_by(table: Table) -> dict[int, int]:
    """Day and generation of every session; fails where a session mixes generations or lacks rows."""
    found: dict[int, list[int]] = {}
    for row in table.read().to_pylist():
        found.setdefault((row["session"] - FIRST).days, []).append(row["generation"])
    assert all(len(values) == 3 and len(set(values)) == 1 for values in found.values()), found
    return {day: values[0] for day, values in found.items()}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_at_any_step_a_reader_sees_old_or_new_and_the_next_run_heals(
    *, tmp_path: Path, writing, table_at, rows, days, writer, copy_of: Callable[[Path, int], Path], scenario: str
):
    steps, (first, last) = SCENARIOS[scenario]
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    old = prepare(table_at(prepared), rows, days, writer, steps)
    task = {"generation": 100, "first": first, "last": last}
    new = old | dict.fromkeys(range(first, last + 1), 100)

    control = writing.run(copy_of(prepared, 0), **task)
    assert (control.killed, control.acknowledged, control.error) == (False, [100], None)
    assert len(control.steps) >= FEWEST_STEPS[scenario], control.steps
    assert held_by(table_at(tmp_path / "copy-0")) == new

    seen: list[str] = []
    for step in range(len(control.steps)):
        root = copy_of(prepared, step + 1)
        ending = writing.run(root, kill_at=step, **task)
        assert ending.killed
        assert ending.steps == control.steps[: step + 1]
        found = held_by(table_at(root))
        assert found in (old, new), f"torn at {control.steps[step]}"
        assert found == new or not ending.acknowledged
        assert table_at(root).verify() == []
        seen.append("new" if found == new else "old")
        table_at(root).replace(rows(range(first, last + 1), 100), window=days(first, last), writer=writer)
        assert held_by(table_at(root)) == new
        assert table_at(root).verify() == []
    assert seen == sorted(seen, reverse=True), "once visible, always visible"
    assert {"old", "new"} == set(seen)


def kill_at_random(tmp_path: Path, writing, table_at, kills: int) -> tuple[int, int]:
    """Generation after generation over two months, killed and taken up again; kills that hit, and commits."""
    chance = random.Random(11)  # noqa: S311 - a repeatable sequence, no secret
    table = table_at(tmp_path)
    acknowledged = live = published = 0
    for _ in range(kills):
        ending = writing.run(
            tmp_path,
            generation=acknowledged + 1,
            first=0,
            last=39,
            repeats=1000,
            kill_after=chance.uniform(0.02, 0.35),
        )
        live += ending.killed
        published += len(ending.acknowledged)
        acknowledged = max([acknowledged, *ending.acknowledged])
        held = held_by(table)
        assert len(set(held.values())) <= 1, "two generations in one version"
        newest = next(iter(held.values()), 0)
        assert acknowledged <= newest <= acknowledged + 1, "an acknowledged commit was lost"
        assert len(held) in (0, 40)
        acknowledged = newest
    assert table.verify() == []
    return live, published


def test_killed_at_random_moments_nothing_is_torn_or_lost(tmp_path: Path, writing, table_at):
    live, published = kill_at_random(tmp_path, writing, table_at, kills=30)
    assert live == 30
    assert published >= 30, "a writer that never gets to publish proves nothing"


@pytest.mark.nightly
def test_killed_at_many_random_moments_nothing_is_torn_or_lost(tmp_path: Path, writing, table_at):
    live, published = kill_at_random(tmp_path, writing, table_at, kills=200)
    assert live == 200
    assert published >= 200
