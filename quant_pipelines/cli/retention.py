"""`qp retention`: what may go, before anything goes."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from quant_pipelines.cli.project import console
from quant_pipelines.clock import SystemClock
from quant_pipelines.journal import open_journal
from quant_pipelines.lineage import open_lineage
from quant_pipelines.settings import Settings
from quant_pipelines.snapshots import open_snapshots
from quant_pipelines.snapshots.retention import Plan, Retention

retention = typer.Typer(no_args_is_help=True, help="Show which snapshots may go, and let just those go.")

_MEGABYTE = 1e6


@retention.command()
def plan() -> None:
    """Every snapshot, why it stays or that it may go. Touches nothing."""
    found = _retention().plan()
    shown = Table(Column("snapshot", no_wrap=True), "what", "fate")
    for fate in found.fates:
        shown.add_row(fate.document.id[:16], escape(fate.label), escape("; ".join(fate.reasons) or "may go"))
    if found.fates:
        console.print(shown)
    console.print(_summary(found, "may go"))
    if found.going or found.blobs:
        console.print(f"To let just these go: qp retention run {found.id[:16]} --actor YOU", markup=False)


@retention.command()
def run(
    plan_id: Annotated[str, typer.Argument(help="The id that `qp retention plan` showed.")],
    actor: Annotated[str, typer.Option(help="Who decides so; it goes on record.")],
) -> None:
    """Let go what the plan named, if that is still what would go. The journal keeps that it was done."""
    done = _retention().run(plan_id, actor=actor, tell=lambda each: console.print(f"Gone: snapshot {each[:16]}"))
    console.print(_summary(done, "are gone"))


def _retention() -> Retention:
    settings, clock = Settings(), SystemClock()
    return Retention(
        store=open_snapshots(settings),
        lineage=open_lineage(settings, clock=clock),
        journal=open_journal(settings, clock=clock),
        clock=clock,
    )


def _summary(found: Plan, verb: str) -> str:
    return (
        f"{len(found.going)} of {len(found.fates)} snapshots and {len(found.blobs)} files {verb}, "
        f"{found.bytes / _MEGABYTE:.1f} MB."
    )
