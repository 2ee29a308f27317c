"""`qp lineage`: which bytes a result came from, and which results came from a bar."""

import re
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import typer
from rich.markup import escape
from rich.table import Table as Shown

from quant_pipelines.calendars import Session, parse_session, session_key
from quant_pipelines.cli.project import console, market_named, open_lake
from quant_pipelines.cli.table import table_named
from quant_pipelines.clock import SystemClock
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.lake import EMPTY_SESSION, Lake, Window
from quant_pipelines.lake.tables import PRICES, RAW_BARS, RESTATEMENTS
from quant_pipelines.lineage import Content, Known, Lineage, Traced, open_lineage
from quant_pipelines.settings import Settings

lineage = typer.Typer(no_args_is_help=True, help="Trace results back to the bars, and bars on to results.")

_ID = re.compile(r"[0-9a-f]{8,64}")
_SHOWN_DIGITS = 16
_NAMED_AT_MOST = 5


class Bar(NamedTuple):
    """One symbol's prices of one session."""

    market: str
    symbol: str
    session: Session


class NothingSoNamed(OperatorActionRequired):
    """An id, or a place in a table, that lineage cannot begin at."""

    code = "QP190"


@lineage.command(name="of")
def origin(
    what: Annotated[str, typer.Argument(help="A content id or its beginning, or market/table/session.")],
    each: Annotated[bool, typer.Option("--each", help="Every session with its content id, not only spans.")] = False,
) -> None:
    """What this was made from, down to the bars as they were fetched."""
    settings = Settings()
    opened = open_lineage(settings, clock=SystemClock())
    if "/" in what:
        content = _current(settings, what)
        found, title = opened.origin(content), _place(content)
    else:
        found, title = _named(opened, what)
    _show(found, title=f"{title} was made from", each=each)


@lineage.command()
def dependents(
    market: Annotated[str, typer.Argument(help="A market of markets.yaml.")],
    symbol: Annotated[str, typer.Argument(help="A symbol of the market, e.g. 600001.SH.")],
    session: Annotated[str, typer.Argument(help="The session of the bar, e.g. 2024-03-05.")],
    restatement: Annotated[
        bool, typer.Option("--restatement", help="Only of the prices that a restatement of this bar has replaced.")
    ] = False,
    each: Annotated[bool, typer.Option("--each", help="Every session with its content id, not only spans.")] = False,
) -> None:
    """Everything that was made of one bar: tables, snapshots, models, decisions."""
    settings = Settings()
    entry = market_named(settings, market)
    label, lake = parse_session(session), open_lake(settings)
    opened = open_lineage(settings, clock=SystemClock())
    if restatement:
        replaced = _replaced(lake, entry.name, symbol, label)
        parts = [
            opened.dependents(entry.name, label, table=PRICES.name, content=old, symbol=symbol) for old in replaced
        ]
    else:
        parts = [bar_dependents(opened, lake, Bar(entry.name, symbol, label))]
    found = Traced(
        nodes=tuple(sorted({node for part in parts for node in part.nodes})),
        contents=tuple(sorted({content for part in parts for content in part.contents})),
    )
    what = "the replaced prices" if restatement else "the bar"
    _show(found, title=f"Made of {what} of {symbol} in {market} {session_key(label)}", each=each)


def _current(settings: Settings, place: str) -> Content:
    """What the newest version of the table holds there."""
    parts = place.split("/")
    if len(parts) != len(("market", "table", "session")):
        raise NothingSoNamed(f"{place!r} is no place in a table. Write market/table/session: demo/prices/2024-03-05.")
    market, name, session = market_named(settings, parts[0]).name, parts[1], parse_session(parts[2])
    ids = table_named(open_lake(settings), market, name).session_ids()
    if session not in ids:
        reach = f"It has {session_key(min(ids))} to {session_key(max(ids))}." if ids else "It has none at all."
        raise NothingSoNamed(f"{market}/{name} has no rows for {session_key(session)}. {reach}")
    return Content(market, name, session, ids[session])


def _named(opened: Lineage, beginning: str) -> tuple[Traced, str]:
    if not _ID.fullmatch(beginning):
        raise NothingSoNamed(
            f"{beginning!r} is no content id. Give 8 to 64 of its digits (0-9, a-f), or market/table/session."
        )
    if EMPTY_SESSION.startswith(beginning):
        raise NothingSoNamed(f"{beginning} names every session without rows, which was made from nothing.")
    nodes, contents = opened.named(beginning)
    names = [f"{each.kind} {each.market}/{each.name} {each.id}" for each in nodes]
    names += [f"{_place(each)} {each.id}" for each in contents]
    if not names:
        raise NothingSoNamed(
            f"Lineage knows nothing whose id begins with {beginning}. Look the id up with `qp table show`, or in the "
            "metadata of the materialisation."
        )
    if len(names) > 1:
        raise NothingSoNamed(
            f"{beginning} names {len(names)} things, e.g. {'; '.join(names[:_NAMED_AT_MOST])}. Give more of its digits."
        )
    if nodes:
        return opened.ancestors(nodes[0].id), f"{nodes[0].kind} {nodes[0].market}/{nodes[0].name}"
    return opened.origin(contents[0]), _place(contents[0])


def _replaced(lake: Lake, market: str, symbol: str, session: Session) -> list[str]:
    """Data versions of prices that a restatement of the bar has ended."""
    rows = lake.table(market, RESTATEMENTS).read(Window(session, session), symbols=[symbol])
    if rows.num_rows == 0:
        raise NothingSoNamed(
            f"{market} lists no restatement of {symbol} in {session_key(session)}. "
            f"See them with `qp table show {market} restatements --session {session_key(session)}`."
        )
    return sorted(set(rows["old_version"].to_pylist()))


def bar_dependents(opened: Lineage, lake: Lake, bar: Bar) -> Traced:
    """Everything that was made of one bar. A name that nobody has would depend on nothing, which is no answer."""
    market, symbol, session = bar
    rows = lake.table(market, RAW_BARS).read(Window(session, session), columns=["session", "symbol"], symbols=[symbol])
    if rows.num_rows == 0:
        raise NothingSoNamed(
            f"{market}/raw_bars has no bar of {symbol} in {session_key(session)}. "
            f"Look with `qp table show {market} raw_bars --session {session_key(session)}`."
        )
    return opened.dependents(market, session, symbol=symbol)


def _show(found: Traced, *, title: str, each: bool) -> None:
    console.print(_each(found.contents, title) if each else _spans(found.contents, title))
    nodes = [node for node in found.nodes if node.kind != "table_version"]
    if nodes:
        console.print(_nodes(nodes))
    writes = len(found.nodes) - len(nodes)
    console.print(
        f"{len(found.contents)} sessions of tables, in {writes} writes on record; {len(nodes)} other results."
    )


def _spans(contents: Sequence[Content], title: str) -> Shown:
    shown = Shown("table", "sessions", "first", "last", "contents", title=escape(title), title_justify="left")
    tables: dict[str, list[Content]] = {}
    for content in contents:
        tables.setdefault(f"{content.market}/{content.table}", []).append(content)
    for name, held in tables.items():
        sessions = sorted({content.session for content in held})
        ends = session_key(sessions[0]), session_key(sessions[-1])
        shown.add_row(name, str(len(sessions)), *ends, str(len(held)))
    return shown


def _each(contents: Sequence[Content], title: str) -> Shown:
    shown = Shown("table", "session", "content id", title=escape(title), title_justify="left")
    for content in contents:
        shown.add_row(f"{content.market}/{content.table}", session_key(content.session), content.id)
    return shown


def _nodes(nodes: Sequence[Known]) -> Shown:
    shown = Shown("what", "market", "name", "on record (UTC)", "id")
    for node in nodes:
        recorded = f"{node.created_at:%Y-%m-%d %H:%M:%S}"
        shown.add_row(str(node.kind), node.market, escape(node.name), recorded, node.id[:_SHOWN_DIGITS])
    return shown


def _place(content: Content) -> str:
    return f"{content.market}/{content.table}/{session_key(content.session)}"
