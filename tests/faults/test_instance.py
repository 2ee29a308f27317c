"""Dagster's own stores under stress: cold starts, killed hosts, a database that goes away."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from quant_pipelines.cli.dagster_api import DagsterRefused, DagsterUnreachable
from quant_pipelines.cli.servers import free_port
from quant_pipelines.settings import child_environment
from tests.installation import PROJECT, Installation, installed, require, serving, synthetic_market

COLD_STARTS = 10
RECOVERY_SECONDS = 60

_USE_INSTANCE = """
import dagster as dg
instance = dg.DagsterInstance.get()
run = instance.create_run_for_job(dg.job(name="j")(lambda: None))
instance.report_engine_event("hello", run)
assert instance.get_run_by_id(run.run_id) is not None
"""


def children(installation: Installation, script: str, count: int) -> list[subprocess.Popen[str]]:
    environment = child_environment(installation.settings)
    return [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", script],
            env=environment, cwd=PROJECT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for _ in range(count)
    ]  # fmt: skip


@pytest.mark.timeout(300)
def test_many_processes_may_start_at_once_on_an_empty_home(tmp_path):
    """R9: the first use of SQLite by several processes at once ruins a stock Dagster home."""
    with installed(tmp_path, synthetic_market(first_session="2024-01-02", symbols=5)) as installation:
        started = children(installation, _USE_INSTANCE, COLD_STARTS)
        ends = [(child.communicate()[0], child.returncode) for child in started]
        assert [output for output, code in ends if code != 0] == []
        count = "import dagster as dg; print(dg.DagsterInstance.get().get_runs_count())"
        (last,) = children(installation, count, 1)
        assert last.communicate()[0].strip().endswith(str(COLD_STARTS))


RUNS = "query { runsOrError { ... on Runs { results { runId status parentRunId } } } }"


def runs(installation: Installation) -> list[dict[str, str]]:
    return installation.api.ask(RUNS)["runsOrError"]["results"]


def await_runs(installation: Installation, wanted, seconds: float) -> list[dict[str, str]]:
    deadline = time.monotonic() + seconds
    found: list[dict[str, str]] = []
    while time.monotonic() < deadline:
        # The UI cannot answer while its database is away; the runs have to go on all the same.
        with suppress(DagsterRefused, DagsterUnreachable):
            found = runs(installation)
            if wanted(found):
                return found
        time.sleep(0.5)
    pytest.fail(f"after {seconds:.0f} s the runs are {found}")


# Large enough that the run is still at work when it is killed or its database goes away.
LONG = synthetic_market(first_session="2024-01-02", symbols=1500)


def launch(installation: Installation) -> None:
    installation.api.launch_backfill(
        [["demo", "raw_bars"]], first="2024-01-02", last="2024-06-28", title="to be interrupted"
    )


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_host_that_dies_leaves_no_run_that_claims_to_run(tmp_path):
    """R3: everything is killed; after the restart the dead run is failed, its place is free, and it is retried once."""
    with installed(tmp_path, LONG) as installation:
        with serving(installation):
            launch(installation)
            await_runs(installation, lambda found: [each["status"] for each in found] == ["STARTED"], 120)
            kill_everything(installation)
        with serving(installation):
            begin = time.monotonic()
            dead = await_runs(
                installation, lambda found: any(each["status"] == "FAILURE" for each in found), RECOVERY_SECONDS
            )
            assert time.monotonic() - begin <= RECOVERY_SECONDS
            assert sum(each["status"] == "FAILURE" for each in dead) == 1
            healed = await_runs(
                installation, lambda found: sorted(each["status"] for each in found) == ["FAILURE", "SUCCESS"], 240
            )
            assert sum(each["parentRunId"] is not None for each in healed) == 1


def kill_everything(installation: Installation) -> None:
    """Every process of the installation, as a power cut would."""
    mark = f"QP_HOME={installation.settings.home}".encode()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            ours = mark in (process / "environ").read_bytes().split(b"\0")
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue
        if ours:
            os.kill(int(process.name), signal.SIGKILL)


def run(command: list[str], folder: Path) -> None:
    """Told by its own words where it fails; into a file, since a server that is started keeps a pipe open."""
    log = folder / "pg_ctl.log"
    with log.open("wb") as output:
        ended = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder, check=False)
    assert ended.returncode == 0, f"{command}: {log.read_text(encoding='utf-8')}"


@contextmanager
def own_postgres(folder: Path) -> Iterator[tuple[str, "list[str]"]]:
    """A PostgreSQL server that may be restarted at will.

    Its folder is not among pytest's: every session of pytest that begins takes other users' rights to those away.
    """
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not binaries:
        pytest.skip("no PostgreSQL server binaries are installed")
    runner = [require("runuser"), "-u", "postgres", "--"] if os.getuid() == 0 else []
    folder.chmod(0o777)
    control, data, port = str(binaries[-1]), str(folder / "data"), free_port()
    initdb = [*runner, str(Path(control).with_name("initdb")), "-D", data, "-A", "trust", "-U", "postgres"]
    run(initdb, folder)
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    command = [*runner, control, "-D", data, "-w", "-o", options, "-l", str(folder / "log")]
    run([*command, "start"], folder)
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres", command
    finally:
        subprocess.run([*command, "-m", "immediate", "stop"], check=False, capture_output=True, cwd=folder)


@pytest.mark.nightly
@pytest.mark.postgres
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("mode", "outage_seconds"), [("fast", 0), ("immediate", 0), ("fast", 10)])
def test_a_run_survives_a_restart_of_its_database(tmp_path, mode, outage_seconds):
    """R4: the run succeeds, no retry is needed, and no event is lost or told twice."""
    with (
        TemporaryDirectory(prefix="qp_postgres_") as name,
        own_postgres(base := Path(name)) as (url, command),
        installed(tmp_path, LONG, {"QP_DATABASE_URL": url}) as installation,
        serving(installation),
    ):
        launch(installation)
        await_runs(installation, lambda found: [each["status"] for each in found] == ["STARTED"], 120)
        run([*command, "-m", mode, "stop"], base)
        time.sleep(outage_seconds)
        run([*command, "start"], base)
        found = await_runs(installation, all_over, 240)
        assert [each["status"] for each in found] == ["SUCCESS"], why(installation, found)
        events = installation.api.ask(EVENTS)["assetNodeOrError"]["assetMaterializations"]
        sessions = installation.api.ask(PARTITIONS)["assetNodeOrError"]["partitionKeys"]
        wanted = [each for each in sessions if "2024-01-02" <= each <= "2024-06-28"]
        assert sorted(event["partition"] for event in events) == wanted


def all_over(found: list[dict[str, str]]) -> bool:
    return bool(found) and all(each["status"] in ("SUCCESS", "FAILURE") for each in found)


def why(installation: Installation, found: list[dict[str, str]]) -> str:
    """What the runs that failed say about it."""
    failed = [each["runId"] for each in found if each["status"] != "SUCCESS"]
    return "\n".join(str(installation.api.ask(LOG, {"run": run})) for run in failed)


LOG = """query Log($run: ID!) { runOrError(runId: $run) { ... on Run { eventConnection { events {
  ... on MessageEvent { message }
  ... on ErrorEvent { error { message stack causes { message stack } } } } } } } }"""
EVENTS = """query { assetNodeOrError(assetKey: {path: ["demo", "raw_bars"]}) {
  ... on AssetNode { assetMaterializations(limit: 1000) { partition } } } }"""
PARTITIONS = """query { assetNodeOrError(assetKey: {path: ["demo", "raw_bars"]}) {
  ... on AssetNode { partitionKeys } } }"""
