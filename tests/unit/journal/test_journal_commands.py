"""`qp journal` as a person types it."""

import json
import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from quant_pipelines.clock import FixedClock
from quant_pipelines.journal import Entry, FileAnchor, Journal, sqlite_url
from tests.installation import PROJECT

QP = [sys.executable, "-c", "from quant_pipelines.cli import main; main()"]
CLOCK = FixedClock(datetime(2024, 1, 2, 15, tzinfo=UTC))


@pytest.fixture
def home(tmp_path):
    """A home with five rows of two strategies."""
    journal = Journal(sqlite_url(tmp_path / "journal.db"), FileAnchor(tmp_path / "journal.anchor"), clock=CLOCK)
    for number in range(5):
        kind, subject = ("decision", "demo-lstm") if number % 2 else ("rollout", "demo-mlp")
        journal.append(Entry(kind=kind, subject=subject, actor="alice [ops]", payload={"number": number}))
    return tmp_path


@pytest.fixture
def qp(home):
    def run(*arguments, **environment):
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("QP_")}
        settings = {"QP_PROJECT": str(PROJECT), "QP_HOME": str(home), "PYTHONPATH": str(PROJECT), "COLUMNS": "200"}
        return subprocess.run(
            [*QP, "journal", *arguments],
            env=inherited | settings | environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


def tamper(home, *statements):
    connection = sqlite3.connect(home / "journal.db", isolation_level=None)
    for guard in ("update", "delete"):
        connection.execute(f"DROP TRIGGER journal_no_{guard}")
    for statement in statements:
        connection.execute(statement)
    connection.close()


def test_an_untouched_journal_verifies(qp):
    done = qp("verify")
    assert done.returncode == 0, done.stderr
    assert "rows 1 to 5 are what was written" in done.stdout


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE journal SET actor = 'me' WHERE sequence = 3", "changed: row 3 is not what was written"),
        ("DELETE FROM journal WHERE sequence = 2", "removed: row 2 is gone"),
        ("DELETE FROM journal WHERE sequence > 3", "truncated: rows 4 to 5 are gone from the end"),
    ],
)
def test_a_tampered_journal_names_the_row_and_exits_with_1(qp, home, statement, says):
    """S7; the test above is the control."""
    tamper(home, statement)
    done = qp("verify")
    assert done.returncode == 1
    assert says in done.stdout
    assert "QP532" in done.stderr
    assert "Traceback" not in done.stderr


def test_show_chooses_by_kind_subject_and_count(qp):
    done = qp("show")
    assert done.returncode == 0, done.stderr
    assert "alice [ops]" in done.stdout
    assert "2024-01-02 15:00:00" in done.stdout
    assert "5 rows shown" in done.stdout
    assert "3 rows shown" in qp("show", "--kind", "rollout").stdout
    assert "2 rows shown" in qp("show", "--subject", "demo-lstm").stdout
    last = qp("show", "--last", "1", "--kind", "decision", "--full").stdout
    assert '"number": 3' in last
    assert '"number": 1' not in last
    assert "no such row" in qp("show", "--kind", "nothing").stdout


def test_show_gives_each_row_a_line_and_its_payload_only_where_it_is_asked_for(qp):
    lines = qp("show").stdout.splitlines()
    assert [each.split()[0] for each in lines if "alice [ops]" in each] == ["1", "2", "3", "4", "5"]
    assert not any("number" in each for each in lines)
    whole = qp("show", "--row", "4").stdout
    payload = whole[whole.index("{") :]
    assert json.loads(payload) == {"number": 3}
    assert "hash of the row before" in whole
    missing = qp("show", "--row", "6")
    assert missing.returncode == 1
    assert "QP169" in missing.stderr
    assert "no row 6; its newest is row 5" in missing.stderr


def test_a_changed_row_is_not_shown(qp, home):
    tamper(home, "UPDATE journal SET actor = 'me' WHERE sequence = 3")
    done = qp("show")
    assert done.returncode == 1
    assert "QP531" in done.stderr
    assert "Row 3" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_person_may_anchor_the_rows_that_are_there(qp, home):
    (home / "journal.anchor").unlink()
    assert "unanchored" in qp("verify").stdout
    done = qp("anchor", "--reason", "a new machine", "--actor", "bob")
    assert done.returncode == 0, done.stderr
    assert qp("verify").returncode == 0
    assert json.loads((home / "journal.anchor").read_text())["sequence"] == 6
    assert "a new machine" in qp("show", "--row", "6").stdout


@pytest.mark.postgres
def test_the_journal_is_in_postgresql_where_it_is_set(qp, new_database, home):
    url = new_database()
    (home / "journal.anchor").unlink()
    done = qp("verify", QP_DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    assert "rows 1 to 0" not in done.stdout
    assert "postgresql" in done.stdout
