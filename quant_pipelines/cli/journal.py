"""`qp journal`: read the record, and prove that it is what was written."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from quant_pipelines.cli.project import console
from quant_pipelines.clock import SystemClock
from quant_pipelines.errors import StoreDamaged
from quant_pipelines.journal import Journal, open_journal
from quant_pipelines.journal.entries import payload_text
from quant_pipelines.settings import Settings

journal = typer.Typer(no_args_is_help=True, help="Show the journal, and verify that nobody changed it.")

_SHOWN_ROWS = 20
_COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
_NAMED_FINDINGS = 50


class JournalTampered(StoreDamaged):
    """Rows are not what was written."""

    code = "QP532"


@journal.command()
def show(
    kind: Annotated[str | None, typer.Option(help="Only entries of this kind, e.g. decision.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only entries about this, e.g. a strategy.")] = None,
    last: Annotated[int, typer.Option(help="How many rows at most: the newest.", min=1)] = _SHOWN_ROWS,
) -> None:
    """The newest rows, the newest last."""
    opened = _open()
    rows = opened.newest(last, kind=kind, subject=subject)
    if not rows:
        console.print(f"{opened.name} holds no such row.")
        return
    shown = Table("row", "when (UTC)", "kind", "subject", "who", "what", "hash")
    for row in rows:
        shown.add_row(
            str(row.sequence), f"{row.recorded_at:%Y-%m-%d %H:%M:%S}", row.kind, escape(row.subject),
            escape(row.actor), escape(payload_text(row.payload)), row.hash[:16],
        )  # fmt: skip
    console.print(shown)
    head = opened.head()
    console.print(f"{opened.name}: {len(rows)} rows shown; the newest of all is row {head.sequence}, {head.hash}")


@journal.command()
def verify() -> None:
    """Walk the whole chain, compare it with its anchor, and name every row that is not what was written."""
    opened = _open()
    # Before the walk: what is appended meanwhile is not claimed to be verified.
    head = opened.head()
    with Progress(*_COLUMNS, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("verifying", total=head.sequence)
        found = opened.verify(progress=lambda sequence: progress.update(task, completed=sequence))
    for finding in found[:_NAMED_FINDINGS]:
        console.print(f"[red]{finding}[/]")
    if found:
        raise JournalTampered(
            f"{len(found)} findings in {opened.name}{_rest(len(found))}. "
            "Find out who changed it, and restore the database from a backup."
        )
    rows = (
        f"rows 1 to {head.sequence} are what was written; the newest is {head.hash}" if head.sequence else "no rows yet"
    )
    console.print(f"{opened.name}: {rows}.")


@journal.command()
def anchor(
    reason: Annotated[str, typer.Option(help="Why the rows that are there may be trusted; it goes on record.")],
    actor: Annotated[str, typer.Option(help="Who decides so.")],
) -> None:
    """Trust the rows that are there from now on, e.g. on a new machine. The decision is itself put on record."""
    row = _open().anchor_anew(actor=actor, reason=reason)
    console.print(f"Row {row.sequence} says so, and is the anchor now: {row.hash}.")


def _open() -> Journal:
    return open_journal(Settings(), clock=SystemClock())


def _rest(count: int) -> str:
    return f", the first {_NAMED_FINDINGS} are above" if count > _NAMED_FINDINGS else ", named above"
