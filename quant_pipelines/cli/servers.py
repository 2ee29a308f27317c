"""Start the Dagster UI, its daemon and the MLflow UI; stop them together."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from quant_pipelines.cli.dagster_api import LOCATION
from quant_pipelines.errors import DependencyFailed, OperatorActionRequired
from quant_pipelines.registry.mlflow.place import artifacts_url, backend_url, prepare
from quant_pipelines.settings import Settings, child_environment

START_TIMEOUT_SECONDS = 120.0
STOP_TIMEOUT_SECONDS = 15.0
GROUP_TIMEOUT_SECONDS = 5.0
_POLL_SECONDS = 0.25
_LOG_LINES_SHOWN = 15
LOOPBACK = "127.0.0.1"


class PortTaken(OperatorActionRequired):
    """Somebody else listens where a server of ours should."""

    code = "QP103"

    def __init__(self, host: str, port: int, variable: str) -> None:
        super().__init__(
            f"Port {port} on {host} is taken by another program. Stop that, or choose another port: {variable}=NNNN."
        )


class ServersRunning(OperatorActionRequired):
    """Somebody started them before."""

    code = "QP108"


class ServerFailed(DependencyFailed):
    """A server ended, or did not answer in time."""

    code = "QP301"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One process: how to start it, where it listens, and the page that answers once it is up.

    What others must not read goes into its environment: its command stands in every process list (S4-50).
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    port: int | None = None
    page: str | None = None
    port_variable: str = ""


def dagster_servers(settings: Settings) -> list[Server]:
    """The code, the daemon that launches runs of it, and the UI."""
    code_port = free_port()
    workspace = _write_workspace(settings, code_port)
    python = [sys.executable, "-m"]
    return [
        # One code server for both: the daemon would otherwise start one of its own again every minute.
        Server(
            name="code-server",
            command=[
                *python, "dagster", "code-server", "start", "--host", LOOPBACK, "--port", str(code_port),
                "--use-python-environment-entry-point",
                "--python-file", str(settings.project / "definitions.py"), "--location-name", LOCATION,
            ],
            port=code_port,
        ),
        Server(
            name="dagster-webserver",
            command=[
                *python, "dagster_webserver", "-h", settings.host, "-p", str(settings.dagster_port), "-w", workspace,
            ],
            port=settings.dagster_port,
            page=settings.dagster_address + "/server_info",
            port_variable="QP_DAGSTER_PORT",
        ),
        Server(name="dagster-daemon", command=[*python, "dagster._daemon", "run", "-w", workspace]),
    ]  # fmt: skip


def mlflow_servers(settings: Settings) -> list[Server]:
    """The MLflow UI, unless one runs elsewhere already."""
    if settings.mlflow_url is not None:
        return []
    prepare(settings)
    return [
        Server(
            name="mlflow",
            command=[
                sys.executable, "-m", "mlflow", "server", "--host", settings.host, "--port", str(settings.mlflow_port),
                "--workers", "1",
                # Nobody but this machine, by any of its names: no page elsewhere may drive it (S4-48).
                "--allowed-hosts", "localhost:*,127.0.0.1:*",
                "--artifacts-destination", artifacts_url(settings),
            ],
            environment={"MLFLOW_BACKEND_STORE_URI": backend_url(settings)},
            port=settings.mlflow_port,
            page=settings.mlflow_address + "/health",
            port_variable="QP_MLFLOW_PORT",
        )
    ]  # fmt: skip


def _write_workspace(settings: Settings, code_port: int) -> str:
    """Where the webserver and the daemon find the code."""
    path = settings.home_path / "workspace.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    place = f"{{host: {LOOPBACK}, port: {code_port}, location_name: {LOCATION}}}"
    path.write_text(f"load_from:\n  - grpc_server: {place}\n", encoding="utf-8")
    return str(path)


@contextmanager
def running(
    servers: Sequence[Server], settings: Settings, *, tell: Callable[[str], None]
) -> Generator[dict[str, subprocess.Popen[bytes]]]:
    """Start every server, wait until each answers, and stop all of them at the end, whatever happens."""
    logs = settings.home_path / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(_only_one(settings.home_path))
        for server in servers:
            if server.port_variable and server.port is not None:
                require_free_port(settings.host, server.port, server.port_variable)
        started: dict[str, subprocess.Popen[bytes]] = {}
        for server in servers:
            log = logs / f"{server.name}.log"
            started[server.name] = stack.enter_context(_process(server, settings, log))
            # In order: who comes next asks who came before.
            _await_answer(server, started[server.name], log)
            tell(f"{server.name} is up")
        yield started


def watch(processes: dict[str, subprocess.Popen[bytes]], logs: Path) -> None:
    """Block until a server ends by itself; that is always an error."""
    while True:
        for name, process in processes.items():
            if process.poll() is not None:
                raise ServerFailed(_ended(name, process, logs / f"{name}.log"))
        time.sleep(_POLL_SECONDS)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def require_free_port(host: str, port: int, variable: str) -> None:
    """Raise where somebody listens there: the variable chooses another port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(host, port, variable) from error


@contextmanager
def _only_one(home: Path) -> Generator[None]:
    """Two daemons on one instance would launch everything twice."""
    with (home / "servers.lock").open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ServersRunning(
                f"The servers of {home} are running already. Use them, or stop them first with Ctrl-C."
            ) from error
        yield


@contextmanager
def _process(server: Server, settings: Settings, log: Path) -> Generator[subprocess.Popen[bytes]]:
    environment = {**child_environment(settings), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **server.environment}
    with log.open("ab") as output:
        # A session of its own: Ctrl-C reaches this process alone, which then stops the servers in order.
        process = subprocess.Popen(
            server.command,
            env=environment,
            cwd=settings.project,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _end_group(process.pid)


def _end_group(group: int) -> None:
    """End what a server started and left: asked first, so that a run can say that it was interrupted."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + GROUP_TIMEOUT_SECONDS
        try:
            os.killpg(group, how)
            while time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                os.killpg(group, 0)
        except ProcessLookupError:
            return  # nobody is left


def _await_answer(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerFailed(_ended(server.name, process, log))
        if _answers(server):
            return
        time.sleep(_POLL_SECONDS)
    raise ServerFailed(f"{server.name} did not answer within {START_TIMEOUT_SECONDS:.0f} s. Its log: {log}")


def _answers(server: Server) -> bool:
    if server.page is not None:
        return _page_answers(server.page)
    return server.port is None or _port_answers(server.port)


def _page_answers(page: str) -> bool:
    try:
        with urllib.request.urlopen(page, timeout=2) as answer:  # noqa: S310 - an http address of our own making
            return answer.status == 200  # noqa: PLR2004
    except (urllib.error.URLError, OSError):
        return False


def _port_answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def _ended(name: str, process: subprocess.Popen[bytes], log: Path) -> str:
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES_SHOWN:])
    return f"{name} ended with exit code {process.returncode}. The end of {log}:\n{tail}"
