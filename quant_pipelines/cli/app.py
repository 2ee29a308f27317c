"""The commands, and how their errors look."""

import signal
import sys
from types import FrameType

import typer
from rich.console import Console

from quant_pipelines.cli.alerts import alerts
from quant_pipelines.cli.api import api
from quant_pipelines.cli.compile import compile_all
from quant_pipelines.cli.decision import decision
from quant_pipelines.cli.demo import demo, up
from quant_pipelines.cli.doctor import doctor
from quant_pipelines.cli.experiment import experiment
from quant_pipelines.cli.export import export
from quant_pipelines.cli.incidents import incidents
from quant_pipelines.cli.ingest import backfill, ingest
from quant_pipelines.cli.journal import journal
from quant_pipelines.cli.lineage import lineage
from quant_pipelines.cli.live import approve, live
from quant_pipelines.cli.markets import markets
from quant_pipelines.cli.models import models
from quant_pipelines.cli.policy import policy
from quant_pipelines.cli.retention import retention
from quant_pipelines.cli.rollout import rollout
from quant_pipelines.cli.snapshot import snapshot
from quant_pipelines.cli.strategies import strategies
from quant_pipelines.cli.table import table
from quant_pipelines.cli.triggers import triggers
from quant_pipelines.errors import QuantPipelinesError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="quant_pipelines: market prices in, governed trading models out.",
)
for command in (demo, up, doctor, markets, strategies, ingest, backfill, export, live, approve, api, incidents):
    app.command()(command)
app.command("compile")(compile_all)
app.add_typer(table, name="table")
app.add_typer(journal, name="journal")
app.add_typer(lineage, name="lineage")
app.add_typer(snapshot, name="snapshot")
app.add_typer(retention, name="retention")
app.add_typer(models, name="models")
app.add_typer(policy, name="policy")
app.add_typer(triggers, name="triggers")
app.add_typer(experiment, name="experiment")
app.add_typer(decision, name="decision")
app.add_typer(rollout, name="rollout")
app.add_typer(alerts, name="alerts")


def main() -> None:
    """Run a command; an error of ours is a sentence, not a stack trace."""
    # A terminated command stops its servers like an interrupted one; by default Python would just be gone.
    signal.signal(signal.SIGTERM, _leave)
    try:
        app()
    except QuantPipelinesError as error:
        Console(stderr=True).print(f"[bold red]{error.code}[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)


def _leave(number: int, frame: FrameType | None) -> None:
    del frame
    sys.exit(128 + number)
