"""`qp demo` and `qp up`."""

import time
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from quant_pipelines.calendars import Session, partition_key, session_key
from quant_pipelines.cli.dagster_api import DagsterApi, DagsterRefused
from quant_pipelines.cli.ingest import steps
from quant_pipelines.cli.project import console, market_named, open_lake
from quant_pipelines.cli.servers import dagster_servers, free_port, mlflow_servers, running, watch
from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Lake
from quant_pipelines.lake.tables import PRICES, QUARANTINE, RAW_BARS, RESTATEMENTS
from quant_pipelines.markets import Market
from quant_pipelines.prices import sessions_to_refresh
from quant_pipelines.settings import Settings
from quant_pipelines.sources import open_source

DEMO = "demo"
_DAEMON_TIMEOUT_SECONDS = 90
# What a refresh makes of each session: raw_bars and prices.
_TABLES = 2


def demo(
    servers: Annotated[
        bool, typer.Option("--servers/--no-servers", help="Leave the Dagster and MLflow UIs running at the end.")
    ] = True,
) -> None:
    """Build the demo market, materialise the whole graph, print a summary, leave the UIs running."""
    settings = Settings() if servers else _on_private_ports(Settings())
    wanted = dagster_servers(settings) + (mlflow_servers(settings) if servers else [])
    console.print("Starting the servers ...")
    with running(wanted, settings, tell=_tell) as processes:
        _await_daemon(DagsterApi(settings.dagster_address))
        _materialise(settings)
        if not servers:
            return
        _addresses(settings)
        _until_interrupted(processes, settings)


def up() -> None:
    """Start the Dagster UI, its daemon and the MLflow UI, until Ctrl-C."""
    settings = Settings()
    with running(dagster_servers(settings) + mlflow_servers(settings), settings, tell=_tell) as processes:
        _addresses(settings)
        _until_interrupted(processes, settings)


def _materialise(settings: Settings) -> None:
    market = market_named(settings, DEMO)
    lake = open_lake(settings)
    clock = SystemClock()
    watermark = open_source(market, clock).watermark()
    missing = sessions_to_refresh(market, lake, watermark, clock)
    if missing:
        _refresh(DagsterApi(settings.dagster_address), market, missing)
    else:
        console.print("Every closed session of the demo market is there already.")
    _summary(lake)


def _refresh(api: DagsterApi, market: Market, sessions: Sequence[Session]) -> None:
    """Run the market's refresh over the sessions, and show its progress; a failed one is an error."""
    first, last = (partition_key(market.sessions_calendar, each) for each in (sessions[0], sessions[-1]))
    run_id = api.launch_run(f"refresh_{market.name}", first=first, last=last)
    page = f"{api.address}/runs/{run_id}"
    console.print(f"Run {run_id}: {page}")
    with steps() as progress:
        task = progress.add_task(f"{market.name} partitions", total=_TABLES * len(sessions))
        end = api.follow_run(run_id, tell=lambda step: progress.update(task, completed=step.materialized))
    if end.status != "SUCCESS":
        raise DagsterRefused(
            f"Run {run_id} ended as {end.status} with {end.materialized} partitions materialised. Look at {page}."
        )


def _summary(lake: Lake) -> None:
    shown = Table("table", "sessions", "first", "last", "files", "MB", title="The demo market")
    for schema in (RAW_BARS, PRICES, QUARANTINE, RESTATEMENTS):
        table = lake.table(DEMO, schema)
        sessions = sorted(table.session_ids())
        files = table.files()
        ends = (session_key(sessions[0]), session_key(sessions[-1])) if sessions else ("", "")
        shown.add_row(schema.name, str(len(sessions)), *ends, str(files.count), f"{files.size_bytes / 1e6:.1f}")
    console.print(shown)


def _on_private_ports(settings: Settings) -> Settings:
    """Ports that nobody else uses: without --servers nobody needs to find them."""
    return settings.model_copy(update={"dagster_port": free_port(), "mlflow_port": free_port()})


def _await_daemon(api: DagsterApi) -> None:
    """A backfill waits for the daemon, so let it come up first and say so when it does not."""
    query = "query { instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"
    deadline = time.monotonic() + _DAEMON_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        statuses = api.ask(query)["instance"]["daemonHealth"]["allDaemonStatuses"]
        if all(each["healthy"] for each in statuses if each["required"]):
            return
        time.sleep(1)
    console.print("[yellow]The Dagster daemon is slow to report; going on, its log is in the logs folder.[/]")


def _addresses(settings: Settings) -> None:
    console.print(
        f"\nDagster UI  {settings.dagster_address}\nMLflow UI   {settings.mlflow_address}\nCtrl-C stops them."
    )


def _until_interrupted(processes: dict, settings: Settings) -> None:  # type: ignore[type-arg]
    try:
        watch(processes, settings.home_path / "logs")
    except KeyboardInterrupt:
        console.print("\nStopping ...")


def _tell(line: str) -> None:
    console.print(f"  {line}")
