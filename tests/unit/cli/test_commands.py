"""The command line as a person types it: sentences, exit codes, tables."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quant_pipelines.settings import child_environment
from tests.installation import PROJECT, installed, synthetic_market

QP = [sys.executable, "-c", "from quant_pipelines.cli import main; main()"]


class Shell:
    """Runs `qp` in a project whose home and markets are the test's own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def markets(self, text: str) -> None:
        (self.home / "markets.yaml").write_text(text, encoding="utf-8")

    def qp(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        settings = {
            "QP_PROJECT": str(PROJECT),
            "QP_HOME": str(self.home / "var"),
            "QP_MARKETS_FILE": str(self.home / "markets.yaml"),
            "PYTHONPATH": str(PROJECT),
            "COLUMNS": "200",
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("QP_")}
        return subprocess.run(
            [*QP, *arguments], env=inherited | settings | environment, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A market of a month, ingested once."""
    shell = Shell(tmp_path_factory.mktemp("shell"))
    shell.markets(synthetic_market(first_session="2024-01-02", symbols=5))
    done = shell.qp("ingest", "demo", "--from", "2024-01-02", "--to", "2024-02-29")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "37 sessions, 2024-01-02 to 2024-02-29" in done.stdout
    return shell


def test_markets_are_listed_with_how_far_they_reach(shell):
    done = shell.qp("markets")
    assert done.returncode == 0
    assert "demo" in done.stdout
    assert "XSHG" in done.stdout


def test_a_table_shows_its_last_session_and_its_data_version(shell):
    done = shell.qp("table", "show", "demo", "prices")
    assert done.returncode == 0
    assert "of 2024-02-29; data version" in done.stdout
    assert "37 sessions, 2024-01-02 to 2024-02-29" in done.stdout


def test_history_says_who_wrote_what(shell):
    done = shell.qp("table", "history", "demo", "prices")
    assert done.returncode == 0
    assert "qp ingest" in done.stdout
    assert "2024-02-29" in done.stdout


def test_diff_of_a_version_with_itself_is_empty(shell):
    assert "2024" not in shell.qp("table", "diff", "demo", "prices", "1", "1").stdout


def test_diff_names_the_sessions_that_a_commit_brought(shell):
    assert "2024-02-29" in shell.qp("table", "diff", "demo", "prices", "0", "1").stdout


def test_verify_says_equal_and_finds_a_flipped_byte(shell, tmp_path):
    """The control first: an untouched table is accepted."""
    assert "every byte is what was written" in shell.qp("table", "verify", "demo", "raw_bars").stdout
    damaged = Shell(tmp_path)
    damaged.markets(synthetic_market(first_session="2024-01-02", symbols=5))
    damaged.qp("ingest", "demo", "--from", "2024-01-02", "--to", "2024-01-05")
    file = next((tmp_path / "var" / "lake" / "demo" / "raw_bars").rglob("period=*/*.parquet"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)
    found = damaged.qp("table", "verify", "demo", "raw_bars")
    assert found.returncode == 1
    assert file.name in found.stdout


def test_ingesting_again_changes_nothing(shell):
    before = shell.qp("table", "history", "demo", "prices").stdout
    assert shell.qp("ingest", "demo", "--from", "2024-01-02", "--to", "2024-02-29").returncode == 0
    assert shell.qp("table", "history", "demo", "prices").stdout == before


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["ingest", "nowhere"], "QP105", "has no market 'nowhere'. It has: demo."),
        (["table", "show", "demo", "price"], "QP106", "There is no table 'price' of demo"),
        (["table", "show", "demo", "prices", "--session", "2024-02-10"], "QP106", "its last session is 2024-02-29"),
        (["table", "show", "demo", "prices", "--as-of", "yesterday"], "QP106", "neither a version nor an instant"),
        (["ingest", "demo", "--from", "soon"], "QP100", "is no session"),
        (["ingest", "demo", "--from", "2031-01-02"], "QP104", "has no closed session from 2031-01-02"),
        (["backfill", "demo"], "QP302", "Start it with `qp up`"),
    ],
)
def test_mistakes_are_answered_with_a_sentence_and_a_code(shell, arguments, code, says):
    done = shell.qp(*arguments, QP_DAGSTER_PORT="1")
    assert done.returncode == 1
    assert code in done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_markets_file_is_answered_with_file_line_and_field(tmp_path):
    shell = Shell(tmp_path)
    shell.markets(synthetic_market(first_session="2024-01-02", symbols=5).replace("currency", "curency"))
    done = shell.qp("markets")
    assert done.returncode == 1
    assert "markets.yaml" in done.stderr
    assert "curency" in done.stderr
    assert "currency" in done.stderr


def test_outside_a_project_the_error_says_so(tmp_path):
    done = Shell(tmp_path).qp("markets", QP_PROJECT=str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_the_doctor_finds_a_healthy_installation_healthy(shell):
    """S4-12."""
    done = shell.qp("doctor")
    assert done.returncode == 0, done.stdout
    for what in ("python", "disk", "database", "source of demo", "demo/prices"):
        assert what in done.stdout


def test_the_doctor_names_what_is_sick_and_what_to_do(shell):
    """S4-12."""
    done = shell.qp("doctor", QP_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    assert done.returncode == 1
    assert "start PostgreSQL or correct QP_DATABASE_URL" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_taken_port_is_named_before_anything_starts(shell):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = shell.qp("up", QP_DAGSTER_PORT=port)
    assert done.returncode == 1
    assert f"Port {port}" in done.stderr
    assert "QP_DAGSTER_PORT=" in done.stderr


def processes_of(home: Path) -> list[int]:
    """Who runs with this home."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"QP_HOME={home}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # it ended while we looked
    return found


def command_of(process: int) -> str:
    try:
        return (Path("/proc") / str(process) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return "ended while we looked"


@pytest.fixture
def heard():
    """A shell starts what is to run in the background deaf to Ctrl-C, and so would be whoever is started from there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc to see whose processes are left")
@pytest.mark.parametrize("how", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.nightly)])
def test_stopping_the_servers_leaves_no_process_behind(tmp_path, how):
    with installed(tmp_path, synthetic_market(first_session="2024-01-02", symbols=5)) as installation:
        up = subprocess.Popen(
            [*QP, "up"], env=child_environment(installation.settings), cwd=PROJECT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        assert up.stdout is not None
        lines = []
        while "Ctrl-C stops them." not in (line := up.stdout.readline()):
            lines.append(line)
            assert line, f"ended early: {lines}"
        home = installation.settings.home_path
        assert len(processes_of(home)) >= 4
        up.send_signal(how)
        up.communicate(timeout=60)
        assert [command_of(each) for each in processes_of(home)] == []


def test_what_dead_writers_left_is_listed_and_removed_only_when_told(shell):
    done = shell.qp("table", "sweep")
    assert (done.returncode, done.stdout) == (0, "Nothing is left over that was not touched for 24 hours.\n")
    left = shell.home / "var" / "lake" / "demo" / "prices" / "period=2024-01" / "_staged-0123abcd"
    left.write_bytes(b"half a file")
    listed = shell.qp("table", "sweep", "--hours", "0")
    assert "demo/prices/period=2024-01/_staged-0123abcd: half written, 11 bytes" in listed.stdout
    assert "1 files, 0.0 MB are left over" in listed.stdout
    assert left.exists()
    assert "Removed 1 files" in shell.qp("table", "sweep", "--hours", "0", "--delete").stdout
    assert not left.exists()
    assert shell.qp("table", "verify", "demo", "prices").returncode == 0
