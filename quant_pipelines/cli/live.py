"""`qp live` and `qp approve`: what is live, by the journal, and who agrees that something goes live."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Column, Table

from quant_pipelines.calendars import parse_session, session_key
from quant_pipelines.cli.project import console
from quant_pipelines.clock import SystemClock
from quant_pipelines.deployment import (
    EVERYBODY,
    SHADOW,
    Live,
    approvers,
    decision_named,
    live_at,
    live_now,
    live_on,
    recorded_id,
    rolled_models,
)
from quant_pipelines.deployment import approve as put_on_record
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.journal import Journal, open_journal
from quant_pipelines.settings import Settings

_SHORT = 8
_DATE_LENGTH = len("2024-01-31")


class BadMoment(OperatorActionRequired):
    """A moment that is none, or two of them."""

    code = "QP143"


def live(
    at: Annotated[
        str | None, typer.Option(help="A moment, e.g. 2024-03-05T15:00 (UTC unless it has a zone); a date is its end.")
    ] = None,
    session: Annotated[
        str | None, typer.Option(help="What stood when this session had closed, whenever that was written down.")
    ] = None,
    market: Annotated[str | None, typer.Option(help="Only this market.")] = None,
) -> None:
    """What is live for each strategy: champion, canary and shadows, since when, and by which decision."""
    journal = open_journal(Settings(), clock=SystemClock())
    when, state = _asked(journal, at, session)
    models = [each for each in rolled_models(journal) if market in (None, each.partition(".")[0])]
    rows = [row for each in models for row in rows_of(state(each))]
    if not rows:
        console.print(f"Nothing {when}.")
        return
    columns = ("role", Column("serves", no_wrap=True), Column("since", no_wrap=True), Column("decision", no_wrap=True))
    shown = Table(
        Column("version", overflow="fold"), *columns, "row", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    for each in rows:
        shown.add_row(*(escape(cell) for cell in each))
    console.print(f"What {when}, by the journal:")
    console.print(shown)


def approve(
    decision_id: Annotated[str, typer.Argument(help="A decision's id, or how it begins; see `qp decision list`.")],
    person: Annotated[str, typer.Option("--as", help="Who agrees; it goes on record.")],
    role: Annotated[str, typer.Option(help="The role in which they agree; the strategy's policy names it.")],
) -> None:
    """Agree that the candidate of a decision goes live."""
    journal = open_journal(Settings(), clock=SystemClock())
    row, found = decision_named(journal, decision_id)
    kept = put_on_record(journal, recorded_id(row), person=person, role=role)
    agreed = approvers(journal, found.model, recorded_id(row), role=role)
    console.print(
        f"Row {kept.sequence}: decision {recorded_id(row)[:_SHORT]} about {found.evidence.candidate.version} was "
        f"approved by {', '.join(agreed)}; {found.policy.approvals} must agree.",
        markup=False,
    )


def _asked(journal: Journal, at: str | None, session: str | None) -> tuple[str, Callable[[str], Live]]:
    if at is not None and session is not None:
        raise BadMoment("Give --at or --session: one is about the clock, the other about the market's sessions.")
    if session is not None:
        label = parse_session(session)
        return f"was live at the close of {session_key(label)}", lambda model: live_on(journal, model, label)
    if at is None:
        return "is live now", lambda model: live_now(journal, model)
    moment = _moment(at)
    return f"was live at {moment:%Y-%m-%d %H:%M:%S} UTC", lambda model: live_at(journal, model, moment)


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadMoment(f"{text!r} is no moment. Write 2024-03-05 or 2024-03-05T15:00+08:00.") from error
    if len(text) <= _DATE_LENGTH:
        found += timedelta(days=1, microseconds=-1)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def rows_of(live: Live) -> Iterator[tuple[str, ...]]:
    """Each version that is live: its name, role, share, since when, by which decision and row."""
    for role, placed, percent in live.serving:
        decided = "" if placed.decision is None else placed.decision[:_SHORT]
        version = f"{live.model}/{placed.version.number}"
        yield version, role, _share(percent), session_key(placed.since), decided, str(placed.row)


def _share(percent: int) -> str:
    return {SHADOW: "nobody", EVERYBODY: "everybody"}.get(percent, f"{percent} %")
