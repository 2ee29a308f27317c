"""The commands of the containers, run without containers on the real database."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ENTRY = str(ROOT / "docker" / "entry.sh")
START_SECONDS = 120.0
STOP_SECONDS = 30.0
LOCATIONS = "{workspaceOrError{... on Workspace{locationEntries{name locationOrLoadError{__typename}}}}}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def environment(folder, database_url):
    (folder / "url").write_text(database_url + "\n", encoding="utf-8")
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "QP_HOME": str(folder / "home"),
        "QP_DATABASE_URL_FILE": str(folder / "url"),
        "QP_MLFLOW_DATABASE_URL_FILE": str(folder / "url"),
        "QP_MLFLOW_ARTIFACTS": str(folder / "artifacts"),
        **{name: free_port() for name in ("QP_CODE_PORT", "QP_DAGSTER_PORT", "QP_MLFLOW_PORT")},
    }


@contextmanager
def serving(folder, settings, *roles):
    """Run these roles until the block ends; all of them are healthy in it, and obey at its end."""
    processes = {role: start(role, folder, settings) for role in roles}
    try:
        deadline = time.monotonic() + START_SECONDS
        for role, process in processes.items():
            while not is_healthy(role, settings):
                assert process.poll() is None, log_of(role, folder)
                assert time.monotonic() < deadline, log_of(role, folder)
                time.sleep(2)
        yield processes
        # Here and not in `finally`: that a server obeys is part of what is tested.
        for process in processes.values():
            process.terminate()
        ends = {role: process.wait(STOP_SECONDS) for role, process in processes.items()}
        assert set(ends.values()) <= {0, -signal.SIGTERM, 128 + signal.SIGTERM}, ends
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def start(role, folder, settings):
    # Dagster's servers take SIGTERM for SIGINT, and a shell that runs these tests in the background ignores that.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with (folder / f"{role}.log").open("wb") as output:
            return subprocess.Popen([ENTRY, role], env=settings, stdout=output, stderr=subprocess.STDOUT)
    finally:
        signal.signal(signal.SIGINT, before)


def log_of(role, folder):
    return (folder / f"{role}.log").read_text(encoding="utf-8")


def is_healthy(role, settings):
    return subprocess.run([ENTRY, "healthy", role], env=settings, capture_output=True, check=False).returncode == 0


@pytest.mark.postgres
def test_mlflow_serves_from_its_database(tmp_path, new_database):
    settings = environment(tmp_path, new_database())
    assert not is_healthy("mlflow", settings)
    with serving(tmp_path, settings, "mlflow") as processes:
        command = Path(f"/proc/{processes['mlflow'].pid}/cmdline")
        assert not command.exists() or "postgresql://" not in command.read_bytes().decode()


@pytest.mark.postgres
def test_webserver_and_daemon_find_the_code(tmp_path, new_database):
    settings = environment(tmp_path, new_database())
    with serving(tmp_path, settings, "code"), serving(tmp_path, settings, "webserver", "daemon"):
        question = urllib.request.Request(
            f"http://127.0.0.1:{settings['QP_DAGSTER_PORT']}/graphql",
            json.dumps({"query": LOCATIONS}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(question, timeout=60) as answer:  # noqa: S310 - an http address of our own
            entries = json.load(answer)["data"]["workspaceOrError"]["locationEntries"]
    assert entries == [{"name": "quant_pipelines", "locationOrLoadError": {"__typename": "RepositoryLocation"}}]
    assert not (tmp_path / "home" / "dagster").exists(), "PostgreSQL was asked for, but SQLite files were made"


def test_an_unknown_role_gets_the_list_of_known_ones():
    refused = subprocess.run([ENTRY, "worker"], capture_output=True, text=True, check=False)
    assert (refused.returncode, "webserver" in refused.stderr) == (2, True)


def test_mlflow_without_its_secret_says_what_to_do(tmp_path):
    settings = {**os.environ, "QP_MLFLOW_DATABASE_URL_FILE": str(tmp_path / "missing")}
    refused = subprocess.run([ENTRY, "mlflow"], env=settings, capture_output=True, text=True, check=False)
    assert (refused.returncode, "docker/secrets.sh" in refused.stderr) == (1, True)
