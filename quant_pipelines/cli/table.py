"""`qp table`: look into the lake."""

from datetime import datetime, timedelta
from typing import Annotated, Any

import pyarrow as pa
import typer
from rich.table import Table as Shown

from quant_pipelines.calendars import Session, parse_session, session_key
from quant_pipelines.cli.project import console, market_named, open_lake
from quant_pipelines.errors import OperatorActionRequired, StoreDamaged
from quant_pipelines.lake import Lake, Leftover, Table, Window, Writer, WritersAtWork
from quant_pipelines.lake.tables import TABLES
from quant_pipelines.markets.market import OPERATIONS
from quant_pipelines.settings import Settings

table = typer.Typer(no_args_is_help=True, help="Show tables, their history, and what changed between versions.")

MarketName = Annotated[str, typer.Argument(help="A market of markets.yaml.")]
TableName = Annotated[str, typer.Argument(help="A table, e.g. prices.")]
AsOf = Annotated[str | None, typer.Option(help="A table version (12) or an instant (2024-05-31T18:00+00:00).")]
_SHOWN_ROWS = 20
_SHOWN_DIGITS = 16


class UnknownTable(OperatorActionRequired):
    """A table name that the catalogue does not have."""

    code = "QP106"


@table.command()
def show(
    market: MarketName,
    name: TableName,
    session: Annotated[str | None, typer.Option(help="The session to show; default: the last one.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    as_of: AsOf = None,
    rows: Annotated[int, typer.Option(help="How many rows at most.")] = _SHOWN_ROWS,
    provenance: Annotated[bool, typer.Option(help="Show who delivered each row and when, too.")] = False,
) -> None:
    """One session of a table, with its data version."""
    opened = _open(market, name)
    when = _as_of(as_of)
    ids = opened.session_ids(as_of=when)
    if not ids:
        console.print(f"{market}/{name} holds nothing yet. Run `qp backfill {market}`.")
        return
    chosen = parse_session(session) if session else max(ids)
    if chosen not in ids:
        raise UnknownTable(
            f"{market}/{name} has no rows for {session_key(chosen)}; its last session is {session_key(max(ids))}."
        )
    found = opened.read(Window(chosen, chosen), symbols=[symbol] if symbol else None, as_of=when)
    wanted = [column.name for column in opened.schema.columns if column.identity or provenance]
    _print_rows(found.select(wanted).slice(0, rows))
    files = opened.files()
    console.print(
        f"{min(rows, found.num_rows)} of {found.num_rows} rows of {session_key(chosen)}; data version {ids[chosen]}\n"
        f"{market}/{name}: {len(ids)} sessions, {session_key(min(ids))} to {session_key(max(ids))}, "
        f"{files.count} files, {files.size_bytes / 1e6:.1f} MB, table version {opened.version()}"
    )


@table.command()
def history(
    market: MarketName, name: TableName, limit: Annotated[int, typer.Option(help="How many commits at most.")] = 20
) -> None:
    """The table's versions, newest first: what each held, who made it when, which sessions it changed."""
    shown = Shown(
        "version",
        "id",
        "status",
        "created (UTC)",
        "held",
        "sessions",
        "rows",
        "MB",
        "what",
        "changed",
        "who",
        "run",
        "code",
    )
    for each in _open(market, name).versions(limit):
        commit = each.commit
        shown.add_row(
            str(commit.version), each.id[:_SHOWN_DIGITS], each.status, f"{commit.created_at:%Y-%m-%d %H:%M:%S}",
            _span(each.first, each.last), str(each.sessions), str(each.rows), f"{each.size_bytes / 1e6:.1f}",
            commit.operation, _span(commit.first, commit.last), commit.writer.who, (commit.writer.run_id or "")[:8],
            commit.writer.code_version or "",
        )  # fmt: skip
    console.print(shown)


def _span(first: Session | None, last: Session | None) -> str:
    return "" if first is None or last is None else f"{session_key(first)} .. {session_key(last)}"


@table.command()
def diff(
    market: MarketName,
    name: TableName,
    old: Annotated[int, typer.Argument(help="The earlier table version.")],
    new: Annotated[int, typer.Argument(help="The later table version.")],
    session: Annotated[str | None, typer.Option(help="Show the changed cells of this session.")] = None,
) -> None:
    """Which sessions changed between two versions, or which cells of one session."""
    opened = _open(market, name)
    if session:
        _print_rows(opened.compare_rows(old, new, parse_session(session)))
        return
    shown = Shown("session", f"version {old}", f"version {new}")
    for change in opened.diff(old, new):
        shown.add_row(session_key(change.session), (change.old or "")[:16], (change.new or "")[:16])
    console.print(shown)


@table.command()
def verify(market: MarketName, name: TableName) -> None:
    """Read every byte again and compare it with its name and its data versions."""
    damages = _open(market, name).verify()
    for damage in damages:
        console.print(f"[red]{damage.path}: {damage.reason} ({len(damage.sessions)} sessions)[/]")
    if damages:
        raise StoreDamaged(f"{len(damages)} files of {market}/{name} are damaged; see above for each.")
    console.print(f"{market}/{name}: every byte is what was written.")


@table.command()
def repair(market: MarketName, name: TableName) -> None:
    """Take damaged files out, so that their sessions are missing rather than unreadable; then fetch them again."""
    damages = _open(market, name).quarantine_damaged(writer=Writer("qp table repair"))
    for damage in damages:
        ends = f"{session_key(min(damage.sessions))} to {session_key(max(damage.sessions))}"
        console.print(f"Taken out: {damage.path}, {len(damage.sessions)} sessions, {ends}. {damage.reason}")
    if damages:
        console.print(f"Earlier versions still hold what they held. Fetch the sessions again: `qp backfill {market}`.")
    else:
        console.print(f"{market}/{name}: nothing is damaged.")


@table.command()
def sweep(
    *,
    delete: Annotated[bool, typer.Option("--delete", help="Remove them. Without this they are only listed.")] = False,
    hours: Annotated[float, typer.Option(help="Leave alone what was touched within so many hours.", min=0)] = 24,
) -> None:
    """List what writers that died have left behind in any table: files that no version refers to."""
    lake, age = open_lake(Settings()), timedelta(hours=hours)
    busy: list[WritersAtWork] = []
    found: list[Leftover] = []
    for name in lake.stored_tables():
        try:
            found += _swept(name, lake.sweep(name, age=age) if delete else lake.leftovers(name, age=age))
        except WritersAtWork as error:
            busy.append(error)
            console.print(f"[yellow]{error}[/]")
    size = f"{len(found)} files, {sum(each.size_bytes for each in found) / 1e6:.1f} MB"
    if not found:
        console.print(f"Nothing is left over that was not touched for {hours:g} hours.")
    elif delete:
        console.print(f"Removed {size}.")
    else:
        console.print(
            f"{size} are left over. Every version reads without them; `qp table sweep --delete` removes them."
        )
    if busy:
        raise busy[0]


def _swept(name: str, leftovers: list[Leftover]) -> list[Leftover]:
    for each in leftovers:
        console.print(
            f"{name}/{each.path}: {each.reason}, {each.size_bytes} bytes, {each.modified:%Y-%m-%d %H:%M} UTC",
            soft_wrap=True,
        )
    return leftovers


def _open(market: str, name: str) -> Table:
    settings = Settings()
    owner = market if market == OPERATIONS else market_named(settings, market).name
    return table_named(open_lake(settings), owner, name)


def table_named(lake: Lake, market: str, name: str) -> Table:
    """A table of the catalogue, or any that somebody has made: features, labels."""
    # Feature tables have the columns that a project chose: what was stored knows them best.
    names = lake.names(market)
    stored = lake.stored(market, name) if name in names else None
    if stored is not None:
        return stored
    if name not in TABLES:
        known = ", ".join(sorted({*TABLES, *names}))
        raise UnknownTable(f"There is no table {name!r} of {market}. There are: {known}.")
    return lake.table(market, TABLES[name])


def _as_of(text: str | None) -> int | datetime | None:
    if text is None or text.isdigit():
        return int(text) if text else None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnknownTable(
            f"{text!r} is neither a version nor an instant. Write 12 or 2024-05-31T18:00+00:00."
        ) from error
    if instant.tzinfo is None:
        raise UnknownTable(f"{text!r} has no time zone. Write it with one, e.g. {text}+00:00.")
    return instant


def _print_rows(rows: pa.Table) -> None:
    shown = Shown(*rows.column_names)
    for row in rows.to_pylist():
        shown.add_row(*(_text(value) for value in row.values()))
    console.print(shown)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime) and value.tzinfo is None:
        return session_key(value)
    return f"{value:.8g}" if isinstance(value, float) else str(value)
