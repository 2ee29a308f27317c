"""`qp demo` and `qp up`."""

import time
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from quant_pipelines.arrays import SESSION
from quant_pipelines.calendars import partition_key, session_key
from quant_pipelines.cli.dagster_api import DagsterApi, DagsterRefused, training_partition
from quant_pipelines.cli.ingest import steps
from quant_pipelines.cli.project import console, market_named, open_lake
from quant_pipelines.cli.servers import dagster_servers, free_port, mlflow_servers, running, watch
from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Lake, Window
from quant_pipelines.lake.tables import FACTOR_REPORT
from quant_pipelines.prices import all_sessions
from quant_pipelines.registry import open_models
from quant_pipelines.settings import Settings
from quant_pipelines.sources import open_source
from quant_pipelines.training import report_of

DEMO = "demo"
_DAEMON_TIMEOUT_SECONDS = 90
# Named as sensors/jobs.py names it: everything that the market has by the session.
_JOB, _TRAIN_JOB, _MODEL = f"build_{DEMO}", f"train_{DEMO}", (DEMO, "model")
# A line, trees and a net: enough to compare, minutes to wait.
_TRAINED = ("demo_linear", "demo_lightgbm", "demo_lstm")
_STRONGEST = 5


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
    clock = SystemClock()
    api = DagsterApi(settings.dagster_address)
    closed = all_sessions(market, open_source(market, clock).watermark(), clock)
    keys = [partition_key(market.sessions_calendar, each) for each in closed]
    states = api.states(_JOB)
    missing = [key for key in keys if any(state.lacks(key) for state in states)]
    if missing:
        run_keys = [key for key in keys if missing[0] <= key <= missing[-1]]
        _build(api, run_keys, assets=len(states))
    else:
        console.print("Every closed session of the demo market is there already.")
    _train(api, keys[-1])
    _summary(open_lake(settings))
    _models(settings)


def _train(api: DagsterApi, session: str) -> None:
    """Train what the demo shows at the last close; what is there already is not trained again."""
    for strategy in _TRAINED:
        if api.materialized(_MODEL, training_partition(session, strategy)):
            console.print(f"{strategy} is trained on {session} already.")
            continue
        run_id = api.launch_training(_TRAIN_JOB, session=session, strategy=strategy)
        console.print(f"Training {strategy}: {api.address}/runs/{run_id}")
        with console.status(f"{strategy} learns; its curves are in MLflow"):
            end = api.follow_run(run_id, tell=lambda _: None)
        if end.status != "SUCCESS":
            raise DagsterRefused(
                f"Run {run_id} of {strategy} ended as {end.status}. Look at {api.address}/runs/{run_id}."
            )


def _models(settings: Settings) -> None:
    """The newest version of each model, and what it is worth on the sessions it was chosen by."""
    store = open_models(settings, clock=SystemClock())
    shown = Table("model", "kind", "best step", "validation IC", "RankIC", title="Trained models")
    for strategy in _TRAINED:
        versions = store.versions(f"{DEMO}.{strategy}")
        if not versions:
            continue
        newest = versions[-1]
        report = report_of(store.load(newest.model, newest.number).manifest)
        figures = (report.final_metrics.get(f"validation_{name}") for name in ("ic", "rank_ic"))
        shown.add_row(
            newest.name,
            report.model_kind,
            f"{report.best_epoch} of {report.total_epochs}",
            *("" if figure is None else f"{figure:+.4f}" for figure in figures),
        )
    console.print(shown)


def _build(api: DagsterApi, keys: Sequence[str], *, assets: int) -> None:
    """Run everything over the sessions, and show its progress; a failed run is an error."""
    run_id = api.launch_run(_JOB, first=keys[0], last=keys[-1])
    page = f"{api.address}/runs/{run_id}"
    console.print(f"Run {run_id}: {page}")
    with steps() as progress:
        task = progress.add_task(f"{DEMO} partitions", total=assets * len(keys))
        end = api.follow_run(run_id, tell=lambda step: progress.update(task, completed=step.materialized))
    if end.status != "SUCCESS":
        raise DagsterRefused(
            f"Run {run_id} ended as {end.status} with {end.materialized} partitions materialised. Look at {page}."
        )


def _summary(lake: Lake) -> None:
    shown = Table("table", "sessions", "first", "last", "files", "MB", "rows of the last", title="The demo market")
    for name in lake.names(DEMO):
        table = lake.stored(DEMO, name)
        if table is None:
            continue
        sessions = sorted(table.session_ids())
        files = table.files()
        ends, rows = ("", ""), 0
        if sessions:
            ends = session_key(sessions[0]), session_key(sessions[-1])
            rows = table.read(Window(sessions[-1], sessions[-1]), columns=[SESSION]).num_rows
        shown.add_row(name, str(len(sessions)), *ends, str(files.count), f"{files.size_bytes / 1e6:.1f}", str(rows))
    console.print(shown)
    _strongest(lake)


def _strongest(lake: Lake) -> None:
    """What the newest factor report says."""
    table = lake.table(DEMO, FACTOR_REPORT)
    last = max(table.session_ids(), default=None)
    if last is None:
        return
    rows = table.read(Window(last, last)).to_pylist()
    judged = sorted((row for row in rows if row["rank_ic_t"] is not None), key=lambda row: -abs(row["rank_ic_t"]))
    shown = Table("factor", "RankIC", "t", "spread, bp", title=f"Strongest factors at the close of {session_key(last)}")
    for row in judged[:_STRONGEST]:
        figures = (f"{row['rank_ic']:+.4f}", f"{row['rank_ic_t']:+.2f}", f"{1e4 * row['spread']:+.1f}")
        shown.add_row(row["factor"], *figures)
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
