"""Migrations make the tables that the code speaks of, once, whoever comes first."""

import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from quant_pipelines.journal import sqlite_url
from quant_pipelines.journal.database import Database
from quant_pipelines.journal.tables import SCHEMA as JOURNAL_SCHEMA
from quant_pipelines.lineage.tables import SCHEMA as LINEAGE_SCHEMA
from tests.installation import PROJECT

SCHEMAS = {"journal": JOURNAL_SCHEMA, "lineage": LINEAGE_SCHEMA}
PROCESSES = 10
APPENDS = 5
# Each process opens the journal for itself; the first one makes it.
PROGRAM = """
import sys
from pathlib import Path
from quant_pipelines.clock import SystemClock
from quant_pipelines.journal import Entry, FileAnchor, Journal

url, anchor, name, count = sys.argv[1:]
sys.stdin.readline()
journal = Journal(url, FileAnchor(Path(anchor)), clock=SystemClock())
for number in range(int(count)):
    print(journal.append(Entry(kind="note", subject=name, actor=name, payload={"number": number})).sequence)
    journal.append_once(f"shared {number}", Entry(kind="shared", subject="all", actor=name, payload={"number": number}))
"""


@pytest.mark.parametrize("name", SCHEMAS)
def test_migrations_make_what_the_code_speaks_of(database_url, name):
    schema = SCHEMAS[name]
    database = Database(database_url, schema)
    with database.reading() as connection:
        ours = {*schema.tables.tables, schema.version_table}
        options = {"include_name": lambda each, kind, _: kind != "table" or each in ours}
        context = MigrationContext.configure(connection, opts=options | {"version_table": schema.version_table})
        assert compare_metadata(context, schema.tables) == []
        assert context.get_current_revision() == schema.revision
        assert set(inspect(connection).get_table_names()) == ours


def test_journal_and_lineage_share_a_database_with_others(database_url):
    """Dagster keeps an `alembic_version` of its own there."""
    for schema in SCHEMAS.values():
        Database(database_url, schema)
    with Database(database_url, JOURNAL_SCHEMA).reading() as connection:
        assert "alembic_version" not in inspect(connection).get_table_names()


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_a_folder_of_any_name_will_do(tmp_path, schema):
    folder = tmp_path / "a b%c;d:é?#"
    Database(sqlite_url(folder / "journal.db"), schema)
    assert (folder / "journal.db").stat().st_size > 0


def test_many_processes_at_first_use_and_at_once_make_one_chain(tampered):
    """Target R9, and no row is lost or forked. The journal that the test holds is not opened before them."""
    if tampered.url.startswith("sqlite"):
        tampered.anchor.path.with_name("journal.db").unlink()
    else:
        tampered.run("DROP TABLE journal", "DROP TABLE journal_migrations")
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    processes = [
        subprocess.Popen(
            [*command, tampered.url, str(tampered.anchor.path), f"p{n}", str(APPENDS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PROJECT,
        )
        for n in range(PROCESSES)
    ]  # fmt: skip
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    acknowledged = {}
    for number, process in enumerate(processes):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        acknowledged[f"p{number}"] = [int(line) for line in out.split()]
    journal = tampered.again()
    rows = list(journal.rows())
    assert [row.sequence for row in rows] == list(range(1, PROCESSES * APPENDS + APPENDS + 1))
    found = {name: [row.sequence for row in rows if row.subject == name] for name in acknowledged}
    assert found == acknowledged
    assert sorted(row.payload["number"] for row in rows if row.kind == "shared") == list(range(APPENDS))
    assert journal.verify() == []
    assert tampered.anchor.read() == rows[-1].head
