"""`qp rollout`: how a strategy's rollouts went, move by move, and a roll-back by hand."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.status import Status
from rich.table import Column, Table

from quant_pipelines.calendars import parse_session, session_key
from quant_pipelines.cli.live import rows_of
from quant_pipelines.cli.project import console, market_named
from quant_pipelines.clock import SystemClock
from quant_pipelines.deployment import Held, Rolled, Switch, holds, live_now, moves
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.journal import open_journal
from quant_pipelines.registry import open_models
from quant_pipelines.settings import Settings

rollout = typer.Typer(no_args_is_help=True, help="Show how rollouts went, and roll one back.")

Model = Annotated[str, typer.Argument(help="A model: market.strategy, e.g. demo.demo_lightgbm.")]
_SHOWN_ROWS = 50


class NoReason(OperatorActionRequired):
    """A roll-back by hand without a reason."""

    code = "QP140"


@rollout.command()
def show(
    model: Model, last: Annotated[int, typer.Option(help="How many at most: the newest.", min=1)] = _SHOWN_ROWS
) -> None:
    """Every move, and every step that was not taken, each with its reason."""
    journal = open_journal(Settings(), clock=SystemClock())
    found = [(row.sequence, row.actor, _moved(each), each.reason) for row, each in moves(journal, model)]
    found += [(row.sequence, row.actor, _held(each), each.step.text) for row, each in holds(journal, model)]
    if not found:
        console.print(f"{model} never had a rollout.", markup=False)
        return
    shown = Table(Column("row", no_wrap=True), Column("session", no_wrap=True), "what", "why", "who")
    for sequence, actor, (session, what), why in sorted(found)[-last:]:
        shown.add_row(str(sequence), session, escape(what), escape(why), escape(actor))
    console.print(shown)
    live = live_now(journal, model)
    standing = "; ".join(f"{version} {role}, {serves}" for version, role, serves, *_ in rows_of(live))
    console.print(f"{len(found)} rows. Live now: {standing or 'nothing'}.", markup=False)


@rollout.command()
def back(
    model: Model,
    why: Annotated[str, typer.Option(help="The reason; it goes on record.")],
    session: Annotated[str, typer.Option(help="The session at whose close it happens: the last move's or later.")],
    actor: Annotated[str, typer.Option(help="Who decides so; it goes on record.")],
) -> None:
    """Take away what is furthest in its rollout; where nothing is, bring back the version before the champion."""
    if not why.strip():
        raise NoReason("Say why: --why goes on record, and nobody remembers otherwise.")
    settings = Settings()
    label = parse_session(session)
    market = market_named(settings, model.partition(".")[0])
    market.sessions_calendar.offset(label, 0)  # a holiday is refused with its neighbours
    with Status("opening the model store", console=console) as status:
        journal = open_journal(settings, clock=SystemClock())
        switch = Switch(journal=journal, store=open_models(settings, clock=SystemClock()), actor=actor)
        status.update("verifying the journal, then the version that will serve")
        live = switch.roll_back(model, session=label, reason=why)
    _, last = moves(journal, model)[-1]
    gone = f"{model}/{last.version.number}"
    standing = "; ".join(f"{version} {role}, {serves}" for version, role, serves, *_ in rows_of(live))
    console.print(f"{gone} was taken away. Live now: {standing}.", markup=False)


def _moved(each: Rolled) -> tuple[str, str]:
    told = {
        "begin": f"begin: version {each.version.number} at {each.stage} %",
        "step": f"step: version {each.version.number} to {each.stage} %",
        "roll_back": f"roll back: version {each.version.number} goes"
        + ("" if each.back_to is None else f", version {each.back_to.number} serves"),
    }
    return session_key(each.session), told[each.action]


def _held(each: Held) -> tuple[str, str]:
    version = "" if each.step.version is None else f" version {each.step.version.number}"
    return session_key(each.session), f"{each.step.doing}:{version} {each.step.why}".replace(":  ", ": ")
