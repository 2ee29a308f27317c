"""`qp alerts`: what is beyond its limit, and who knows."""

from typing import Annotated

import typer
from rich.markup import escape

from quant_pipelines.cli.project import console
from quant_pipelines.clock import SystemClock
from quant_pipelines.journal import open_journal
from quant_pipelines.monitoring import Alert, acknowledge
from quant_pipelines.monitoring import alerts as all_alerts
from quant_pipelines.settings import Settings

alerts = typer.Typer(no_args_is_help=True, help="What is beyond its limit, and who knows.")
_SHOWN = 20


@alerts.command("list")
def show(
    all_: Annotated[bool, typer.Option("--all", help="Those that are over too.")] = False,
    last: Annotated[int, typer.Option(help="How many at most: the newest.", min=1)] = _SHOWN,
) -> None:
    """Open alerts, the newest last: which, since when, what was read, who was told and who knows."""
    found = [each for each in all_alerts(open_journal(Settings(), clock=SystemClock())) if all_ or each.is_open]
    for each in found[-last:]:
        console.print(f"[bold]{each.raised.priority}  {escape(each.id)}[/bold]  {_state(each)}")
        console.print(f"  {escape(each.raised.text)}")
    console.print(f"{len(found[-last:])} of {len(found)} {'' if all_ else 'open '}alerts.")


@alerts.command("acknowledge")
def say(
    alert: Annotated[str, typer.Argument(help="The alert's name; see `qp alerts list`.")],
    person: Annotated[str, typer.Option("--as", help="Who knows; it goes on record.")],
    why: Annotated[str, typer.Option(help="What is done about it.")],
) -> None:
    """Say that you know of an open alert: nobody is told again, until it is over."""
    row = acknowledge(open_journal(Settings(), clock=SystemClock()), alert, person=person, why=why)
    console.print(f"Row {row.sequence}: {row.actor} knows of {alert}.", markup=False)


def _state(alert: Alert) -> str:
    told = "nobody was told" if alert.told_at is None else f"told {alert.told_at:%Y-%m-%d %H:%M} UTC"
    known = None if alert.acknowledged is None else f"{escape(alert.acknowledged.person)} knows"
    over = None if alert.over_at is None else f"over since {alert.over_at:%Y-%m-%d %H:%M} UTC"
    return ", ".join(part for part in (told, known, over) if part)
