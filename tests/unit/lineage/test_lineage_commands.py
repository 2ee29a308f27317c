"""`qp lineage` as a person types it, on a market that was ingested, then restated."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Lake, tables
from tests.installation import PROJECT, synthetic_market

QP = [sys.executable, "-c", "from quant_pipelines.cli import main; main()"]
FIRST, BAR, LAST = "2024-01-02", "2024-01-10", "2024-01-31"


class Shell:
    """Runs `qp` in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def market(self, seed: int) -> None:
        text = synthetic_market(first_session=FIRST, symbols=4).replace("seed: 7", f"seed: {seed}")
        (self.home / "markets.yaml").write_text(text, encoding="utf-8")

    def qp(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        settings = {
            "QP_PROJECT": str(PROJECT), "QP_HOME": str(self.home / "var"), "COLUMNS": "200",
            "QP_MARKETS_FILE": str(self.home / "markets.yaml"), "PYTHONPATH": str(PROJECT),
        }  # fmt: skip
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("QP_")}
        return subprocess.run([*QP, *arguments], env=inherited | settings, capture_output=True, text=True, check=False)

    def answer(self, *arguments: str) -> str:
        done = self.qp(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def lake(self) -> Lake:
        return Lake(str(self.home / "var" / "lake"), clock=SystemClock())


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    shell = Shell(tmp_path_factory.mktemp("shell"))
    shell.market(7)
    shell.answer("ingest", "demo", "--from", FIRST, "--to", LAST)
    shell.market(8)
    shell.answer("ingest", "demo", "--from", BAR, "--to", BAR)
    return shell


@pytest.fixture(scope="module")
def symbol(shell) -> str:
    """One whose bar was restated."""
    rows = shell.lake.table("demo", tables.RESTATEMENTS).read()
    return next(row["symbol"] for row in rows.to_pylist() if row["column"] == "close")


def rows_of(text: str) -> dict[str, list[str]]:
    """Cells of each row by its first one."""
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
    return {row[0]: row[1:] for row in cells}


def test_a_place_leads_down_to_the_bars(shell):
    """22 sessions of January: as far back as the last traded close is looked for, which is to the market's first."""
    answer = shell.answer("lineage", "of", f"demo/prices/{LAST}")
    assert f"demo/prices/{LAST} was made from" in answer
    assert rows_of(answer)["demo/raw_bars"] == ["22", FIRST, LAST, "22"]


def test_an_id_or_its_beginning_leads_there_too(shell):
    ids = {
        str(session)[:10]: content for session, content in shell.lake.table("demo", tables.PRICES).session_ids().items()
    }
    for beginning in (ids[LAST], ids[LAST][:12]):
        assert rows_of(shell.answer("lineage", "of", beginning))["demo/raw_bars"] == ["22", FIRST, LAST, "22"]
    each = shell.answer("lineage", "of", ids[LAST], "--each")
    raw = shell.lake.table("demo", tables.RAW_BARS).session_ids(as_of=1)
    assert set(re.findall(r"[0-9a-f]{64}", each)) == set(raw.values())


def test_a_bar_leads_to_what_was_made_of_it(shell, symbol):
    """In both contents that the session has had; later sessions were made of the first alone."""
    answer = shell.answer("lineage", "dependents", "demo", symbol, BAR)
    assert rows_of(answer)["demo/prices"] == ["16", BAR, LAST, "17"]


def test_a_restatement_leads_to_what_was_made_of_the_replaced_prices(shell, symbol):
    """Nothing but prices was materialised, so nothing is outdated; but the question is answered, not refused."""
    answer = shell.answer("lineage", "dependents", "demo", symbol, BAR, "--restatement")
    assert "Made of the replaced prices" in answer
    assert "0 sessions of tables, in 1 writes on record; 0 other results." in answer


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["of", "demo/prices/2024-01-06"], "QP190", "demo/prices has no rows for 2024-01-06. It has 2024-01-02 to"),
        (["of", "demo/prices"], "QP190", "is no place in a table"),
        (["of", "demo/price/2024-01-10"], "QP106", "There is no table 'price'"),
        (["of", "nowhere/prices/2024-01-10"], "QP105", "has no market 'nowhere'"),
        (["of", "0123456789abcdef"], "QP190", "Lineage knows nothing whose id begins with 0123456789abcdef"),
        (["of", "prices"], "QP190", "is no content id"),
        (["dependents", "demo", "NOBODY", BAR], "QP190", "has no bar of NOBODY in 2024-01-10"),
        (["dependents", "demo", "NOBODY", BAR, "--restatement"], "QP190", "lists no restatement of NOBODY"),
        (["dependents", "demo", "NOBODY", "soon"], "QP100", "is no session"),
    ],
)
def test_what_nobody_knows_is_refused_with_a_sentence(shell, arguments, code, says):
    done = shell.qp("lineage", *arguments)
    assert done.returncode == 1
    assert code in done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
