"""Target R6: two processes that write at once. They meet right before their commits, so every repeat is a race."""

from pathlib import Path

from quant_pipelines.lake import Table

REPEATS = 20


def race(tmp_path: Path, writing, writing_too, *, turn: int, ours: dict, theirs: dict) -> list:
    """Both writers look at the table, wait for each other, then commit; how each ended."""
    meet = tmp_path / f"meet-{turn}"
    meet.mkdir()
    root = tmp_path / "lake"
    writing.start(root, meet=str(meet), name="ours", other="theirs", **ours)
    writing_too.start(root, meet=str(meet), name="theirs", other="ours", **theirs)
    return [writing.ending(), writing_too.ending()]


def commits(table: Table) -> int:
    return sum(entry.operation == "replace" for entry in table.history())


def test_one_session_two_contents_one_commit_and_one_named_conflict(
    *, tmp_path: Path, writing, writing_too, table_at, rows, days, writer
):
    table = table_at(tmp_path / "lake")
    table.replace(rows([0], 1), window=days(0, 0), writer=writer)
    for turn in range(REPEATS):
        before = commits(table)
        task = {"first": 0, "last": 0}
        mine, other = {"generation": 10 * turn + 10, **task}, {"generation": 10 * turn + 11, **task}
        endings = race(tmp_path, writing, writing_too, turn=turn, ours=mine, theirs=other)
        winner, loser = sorted(endings, key=lambda ending: ending.error is not None)
        assert len(winner.acknowledged) == 1
        assert loser.acknowledged == []
        assert loser.error.startswith("SessionConflict: Session 2024-01-01 of table demo/bars")
        assert set(table.read()["generation"].to_pylist()) == set(winner.acknowledged)
        assert commits(table) == before + 1
    assert table.verify() == []


def test_one_session_equal_contents_one_commit_and_both_are_content(
    *, tmp_path: Path, writing, writing_too, table_at, rows, days, writer
):
    table = table_at(tmp_path / "lake")
    table.replace(rows([0], 1), window=days(0, 0), writer=writer)
    for turn in range(REPEATS):
        before = commits(table)
        task = {"generation": turn + 10, "first": 0, "last": 0}
        endings = race(tmp_path, writing, writing_too, turn=turn, ours=task, theirs=task)
        assert [ending.acknowledged for ending in endings] == [[turn + 10]] * 2, endings
        assert commits(table) == before + 1
    assert table.verify() == []


def test_different_sessions_both_are_there(tmp_path: Path, writing, writing_too, table_at):
    """In one month, so both want to change the same partition; merges happen in between."""
    table = table_at(tmp_path / "lake")
    for turn in range(REPEATS):
        ours = {"generation": 1, "first": 2 * turn, "last": 2 * turn}
        theirs = {"generation": 2, "first": 2 * turn + 1, "last": 2 * turn + 1}
        endings = race(tmp_path, writing, writing_too, turn=turn, ours=ours, theirs=theirs)
        assert [ending.acknowledged for ending in endings] == [[1], [2]], endings
        assert len(table.session_ids()) == 2 * turn + 2
    assert table.read()["generation"].to_pylist() == ([1] * 3 + [2] * 3) * REPEATS
    assert commits(table) == 2 * REPEATS
    assert table.verify() == []


def test_sessions_of_one_file_both_are_there(*, tmp_path: Path, writing, writing_too, table_at, rows, days, writer):
    """Copy-on-write of the same file by both: the loser plans again on the winner's file."""
    table = table_at(tmp_path / "lake")
    table.replace(rows(range(5), 1), window=days(0, 4), writer=writer)
    for turn in range(REPEATS):
        ours = {"generation": 100 + turn, "first": 1, "last": 1}
        theirs = {"generation": 200 + turn, "first": 3, "last": 3}
        endings = race(tmp_path, writing, writing_too, turn=turn, ours=ours, theirs=theirs)
        assert all(ending.error is None for ending in endings), endings
        held = table.read()["generation"].to_pylist()[::3]
        assert held == [1, 100 + turn, 1, 200 + turn, 1]
    assert table.verify() == []


def test_two_first_writers_make_one_table(tmp_path: Path, writing, writing_too, table_at):
    """Creating the table is a race too."""
    for turn in range(REPEATS):
        root = tmp_path / str(turn)
        writing.start(root, generation=1, first=0, last=0)
        writing_too.start(root, generation=2, first=1, last=1)
        endings = [writing.ending(), writing_too.ending()]
        assert [ending.error for ending in endings] == [None, None]
        assert table_at(root).read()["generation"].to_pylist() == [1] * 3 + [2] * 3
