"""`qp journal`: read the record, and prove that it is what was written."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from quant_pipelines.cli.project import console
from quant_pipelines.clock import SystemClock
from quant_pipelines.errors import OperatorActionRequired, StoreDamaged
from quant_pipelines.journal import Journal, Row, open_journal
from quant_pipelines.settings import Settings

journal = typer.Typer(no_args_is_help=True, help="Show the journal, and verify that nobody changed it.")

_SHOWN_ROWS, _SHORT_HASH = 20, 12
_WHEN = "%Y-%m-%d %H:%M:%S"
_COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
_NAMED_FINDINGS = 50


class JournalTampered(StoreDamaged):
    """Rows are not what was written."""

    code = "QP532"


class NoSuchRow(OperatorActionRequired):
    """A row was asked for that the journal does not have."""

    code = "QP169"


@journal.command()
def show(
    kind: Annotated[str | None, typer.Option(help="Only entries of this kind, e.g. decision.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only entries about this, e.g. a strategy.")] = None,
    last: Annotated[int, typer.Option(help="How many rows at most: the newest.", min=1)] = _SHOWN_ROWS,
    row: Annotated[int | None, typer.Option(help="This row alone, with all that it says.", min=1)] = None,
    full: Annotated[bool, typer.Option("--full", help="All that each row says, not one line of it.")] = False,
) -> None:
    """The newest rows, a line each, the newest last."""
    opened = _open()
    if row is not None:
        _print_whole(_row(opened, row))
        return
    rows = opened.newest(last, kind=kind, subject=subject)
    if not rows:
        console.print(f"{opened.name} holds no such row.")
        return
    if full:
        for each in rows:
            _print_whole(each)
    else:
        console.print(_lines(rows))
    head = opened.head()
    console.print(f"{opened.name}: {len(rows)} rows shown; the newest of all is row {head.sequence}, {head.hash}")
    if not full:
        console.print("`qp journal show --row N` tells all that a row says.", markup=False)


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


def _lines(rows: Sequence[Row]) -> Table:
    whole = [Column(name, no_wrap=True) for name in ("row", "when (UTC)", "hash")]
    texts = [Column(name, overflow="fold") for name in ("kind", "subject", "who")]
    shown = Table(*whole[:2], *texts, whole[2], box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for each in rows:
        shown.add_row(
            str(each.sequence), f"{each.recorded_at:{_WHEN}}", each.kind, escape(each.subject), escape(each.actor),
            each.hash[:_SHORT_HASH],
        )  # fmt: skip
    return shown


def _row(opened: Journal, number: int) -> Row:
    found = next(opened.rows(after=number - 1, limit=1), None)
    if found is None or found.sequence != number:
        raise NoSuchRow(f"{opened.name} has no row {number}; its newest is row {opened.head().sequence}.")
    return found


def _print_whole(row: Row) -> None:
    """Every field of a row, and its payload as JSON that a person reads and a program too."""
    facts = {
        "row": row.sequence, "when (UTC)": f"{row.recorded_at:{_WHEN}}", "kind": row.kind, "subject": row.subject,
        "who": row.actor, "key": row.key or "none", "hash": row.hash, "hash of the row before": row.previous,
    }  # fmt: skip
    for name, value in facts.items():
        console.print(f"[bold]{name}[/]: {escape(str(value))}")
    console.print(json.dumps(row.payload, indent=2, sort_keys=True, ensure_ascii=False), markup=False)
    console.print()


def _open() -> Journal:
    return open_journal(Settings(), clock=SystemClock())


def _rest(count: int) -> str:
    return f", the first {_NAMED_FINDINGS} are above" if count > _NAMED_FINDINGS else ", named above"
