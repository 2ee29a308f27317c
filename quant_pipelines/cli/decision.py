"""`qp decision`: what was decided and why, what a bar has led to, and whether a decision comes out again."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer
from rich import box
from rich.markup import escape
from rich.padding import Padding
from rich.status import Status
from rich.table import Column, Table
from rich.text import Text

from quant_pipelines.calendars import parse_session, session_key
from quant_pipelines.cli.lineage import Bar, bar_dependents
from quant_pipelines.cli.project import console, market_named, open_lake
from quant_pipelines.cli.reproduction import reproducer_of, show_checks
from quant_pipelines.clock import SystemClock
from quant_pipelines.deployment import (
    Decision,
    Live,
    decision_named,
    decisions,
    explained,
    live_now,
    recorded_id,
    rolled_models,
)
from quant_pipelines.deployment.page import measures, number, parts, policy_facts
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.journal import Journal, Row, open_journal
from quant_pipelines.lineage import Known, Lineage, NodeKind, open_lineage
from quant_pipelines.reproduction import Reproduction
from quant_pipelines.settings import Settings

decision = typer.Typer(no_args_is_help=True, help="List, show and explain decisions; do one again; what a bar led to.")

DecisionId = Annotated[str, typer.Argument(help="A decision's id, or how it begins; see `qp decision list`.")]
_SHOWN_ROWS, _SHORT = 20, 8
_RESULTS = {"passed": "[green]passed[/]", "failed": "[bold red]failed[/]", "not_judged": "[dim]not judged[/]"}
_PARTS = {
    "data": "The data",
    "rule": "The rule, asked again of the numbers on record",
    "training": "The training",
    "holdout": "The holdout, read again",
    "decision": "The decision about what was found now",
}


class NotReproduced(OperatorActionRequired):
    """A decision that did not come out again."""

    code = "QP141"


class NoBar(OperatorActionRequired):
    """A bar was asked about, but not which."""

    code = "QP142"


@decision.command(name="list")
def list_all(
    market: Annotated[str | None, typer.Option(help="Only this market.")] = None,
    strategy: Annotated[str | None, typer.Option(help="Only this strategy.")] = None,
    last: Annotated[int, typer.Option(help="How many at most: the newest.", min=1)] = _SHOWN_ROWS,
) -> None:
    """What was decided, the newest last."""
    found = [
        (row, each)
        for row, each in decisions(_journal())
        if market in (None, each.evidence.market) and strategy in (None, each.evidence.strategy)
    ]
    if not found:
        console.print("Nothing was decided yet. docs/deployment.md says what a decision is.")
        return
    # In 80 columns a long name goes on in the next line; nothing that is to be copied is cut off.
    kept = [Column(name, no_wrap=True) for name in ("id", "cutoff", "against", "verdict")]
    columns = (*kept[:2], Column("candidate", overflow="fold"), *kept[2:])
    shown = Table(*columns, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for row, each in found[-last:]:
        champion = each.evidence.champion
        shown.add_row(
            recorded_id(row)[:_SHORT], session_key(each.evidence.cutoff), escape(each.evidence.candidate.version),
            "" if champion is None else escape(champion.version.rpartition("/")[2]), each.verdict,
        )  # fmt: skip
    console.print(shown)
    console.print(
        f"{min(last, len(found))} of {len(found)} decisions. `qp decision explain ID` says why.", markup=False
    )


@decision.command()
def show(decision_id: DecisionId) -> None:
    """Everything that a decision says: its lines, numbers, policy, and the row that keeps it."""
    row, found = decision_named(_journal(), decision_id)
    facts = Table("what", Column("value", overflow="fold"))
    for what, value in _facts(row, found):
        facts.add_row(what, escape(value))
    console.print(facts)
    for title, about, lines in parts(found.lines):
        shown = Table("line", "found", "needed", "result", title=f"{title}. {about}", title_justify="left")
        for each in lines:
            shown.add_row(each.name, number(each.found), escape(each.needs), _RESULTS[each.outcome])
        console.print(shown)
    _print_measures(found)
    policy = Table("field", "value", title="The policy", title_justify="left")
    for field, value in policy_facts(found).items():
        policy.add_row(field, escape(value))
    console.print(policy)


@decision.command()
def explain(decision_id: DecisionId) -> None:
    """Why it was decided so, in plain words, and what would have changed it."""
    _, found = decision_named(_journal(), decision_id)
    for title, sentences in explained(found):
        console.print(f"[bold]{escape(title)}[/]")
        for each in sentences:
            console.print(Padding(Text(each), (0, 0, 0, 2)), soft_wrap=False)


@decision.command()
def impact(
    bar: Annotated[
        tuple[str, str, str] | None, typer.Option(help="Market, symbol and session, e.g. demo 600001.SH 2024-03-05.")
    ] = None,
    market: Annotated[str | None, typer.Option(help="The bar's market, instead of --bar.")] = None,
    symbol: Annotated[str | None, typer.Option(help="The bar's symbol.")] = None,
    session: Annotated[str | None, typer.Option(help="The bar's session.")] = None,
) -> None:
    """Which snapshots, models and decisions one bar has led to, and which of them are live."""
    settings = Settings()
    chosen = bar or (market, symbol, session)
    if chosen[0] is None or chosen[1] is None or chosen[2] is None:
        raise NoBar("Which bar? Give --bar MARKET SYMBOL SESSION, or --market, --symbol and --session.")
    wanted = Bar(market_named(settings, chosen[0]).name, chosen[1], parse_session(chosen[2]))
    opened = open_lineage(settings, clock=SystemClock())
    with Status("tracing the bar", console=console):
        traced = bar_dependents(opened, open_lake(settings), wanted)
        rows = list(_impacted(opened, _journal(), traced.nodes))
    title = f"Made of the bar of {wanted.symbol} in {wanted.market} {session_key(wanted.session)}"
    if not rows:
        console.print(f"{title}: no snapshot, no model and no decision.", markup=False)
        return
    shown = Table(
        "what",
        Column("of", overflow="fold"),
        Column("id", no_wrap=True),
        "live",
        title=escape(title),
        title_justify="left",
    )
    for each in rows:
        shown.add_row(*(escape(cell) for cell in each))
    console.print(shown)
    counts = {kind: sum(each[0] == kind for each in rows) for kind in ("snapshot", "model", "decision")}
    told = ", ".join(f"{kind}s: {count}" for kind, count in counts.items())
    console.print(f"{told}; sessions of tables: {len(traced.contents)}, which `qp lineage dependents` lists.")


@decision.command()
def reproduce(
    decision_id: DecisionId,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="By which share of itself a number may differ. Default: 0 where code, libraries and processor are "
            "those that were recorded, else 1e-6.",
            min=0,
        ),
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="Every value, also the equal ends of intervals.")] = False,
) -> None:
    """Verify its data, train, judge and decide again, and compare row by row. Nothing is put on record."""
    settings = Settings()
    row, found = decision_named(_journal(), decision_id)
    market = market_named(settings, found.evidence.market)
    with Status("opening the stores", console=console) as status:
        reproducer = reproducer_of(settings, market, tolerance, lambda what: status.update(escape(what)))
        done = reproducer.reproduce(found)
    _print_reproduction(done, each=each)
    name = f"Decision {recorded_id(row)[:_SHORT]} about {found.evidence.candidate.version}"
    if done.verdict != "same":
        raise NotReproduced(f"{name} did not come out the same: {_told(done)}")
    console.print(f"{name} comes out the same: {len(done.checks)} values, {found.verdict}.", markup=False)


def _journal() -> Journal:
    return open_journal(Settings(), clock=SystemClock())


def _facts(row: Row, found: Decision) -> Iterator[tuple[str, str]]:
    evidence = found.evidence
    champion = "none" if evidence.champion is None else evidence.champion.version
    yield "decision", recorded_id(row)
    yield "verdict", found.verdict
    yield "reason", found.reason
    if found.flip is not None:
        yield "nearest flip", found.flip
    yield "candidate", f"{evidence.candidate.version}, {evidence.candidate.version_id[:16]}"
    yield "champion", champion
    yield "snapshot", evidence.snapshot_id
    if evidence.first_session is not None and evidence.last_session is not None:
        span = f"{session_key(evidence.first_session)} to {session_key(evidence.last_session)}"
        yield "judged on", f"{evidence.rows} rows of {evidence.sessions} sessions, {span}"
    yield "other candidates before", str(evidence.reads)
    yield "trainings begun by then", str(evidence.trials)
    yield "read from", ", ".join(f"{name} {each[:16]}" for name, each in evidence.data.items())
    yield "decided", f"{row.recorded_at:%Y-%m-%d %H:%M:%S} UTC by {row.actor}"
    yield "journal", f"row {row.sequence}, {row.hash}"


def _print_measures(found: Decision) -> None:
    rows = list(measures(found.evidence))
    if not rows:
        return
    title = escape("What was measured, [95 % interval]")
    shown = Table("measure", "candidate", "champion", "gain", "luck", title=title, title_justify="left")
    for each in rows:
        shown.add_row(*(escape(cell) for cell in each))
    console.print(shown)


def _impacted(opened: Lineage, journal: Journal, nodes: Iterable[Known]) -> Iterator[tuple[str, str, str, str]]:
    """Kind, name, id and who of it is live, in the order in which they follow from each other."""
    live = [live_now(journal, model) for model in rolled_models(journal)]
    serving = {placed: told for each in live for placed, told in _roles(each)}
    trained_on: dict[str, list[str]] = {}
    found = {kind: [each for each in nodes if each.kind is kind] for kind in NodeKind}
    models: list[tuple[str, str, str, str]] = []
    for each in found[NodeKind.MODEL]:
        node, told = opened.node(each.id), serving.get(each.id, "")
        name = f"{each.market}.{each.name}/{node.facts.get('version', '?')}"
        models.append(("model", name, each.id[:_SHORT], told))
        if told:
            for parent in node.parents:
                trained_on.setdefault(parent.id, []).append(f"{name}: {told}")
    for each in found[NodeKind.SNAPSHOT]:
        yield "snapshot", f"{each.market}.{each.name}", each.id[:_SHORT], "; ".join(trained_on.get(each.id, []))
    yield from models
    for each in found[NodeKind.DECISION]:
        facts = opened.node(each.id).facts
        name = f"{facts.get('candidate', each.name)}, {facts.get('verdict', '')}"
        yield "decision", name, each.id[:_SHORT], serving.get(each.id, "")


def _roles(live: Live) -> Iterator[tuple[str, str]]:
    """Version ids, and ids of the decisions that brought them, with what they serve as."""
    places = [("champion", live.champion), *(("canary" if each.stage else "shadow", each) for each in live.candidates)]
    for role, placed in places:
        if placed is None:
            continue
        told = f"{role}, {placed.stage} %" if role == "canary" else role
        yield placed.version.id, told
        if placed.decision is not None:
            yield placed.decision, told


def _print_reproduction(done: Reproduction, *, each: bool) -> None:
    for part, title in _PARTS.items():
        if checks := [found for found in done.checks if found.part == part]:
            show_checks(title, checks, each=each)
    for what in done.differences:
        console.print(f"[yellow]Not as it was:[/] {escape(what)}.")
    if done.tolerance is not None:
        asked = "equal to the bit" if done.tolerance == 0 else f"equal within a share of {done.tolerance:g}"
        console.print(f"Numbers were asked to be {asked}.")
    for what in done.missing:
        console.print(f"[yellow]Not checked:[/] {escape(what)}")


def _told(done: Reproduction) -> str:
    names = [each.name for each in done.checks if each.outcome == "different"]
    told = [f"{len(names)} of {len(done.checks)} values differ, the first is {names[0]}"] if names else []
    if done.missing:
        told.append("not everything could be done again")
    return f"{'; '.join(told)}. What it is stands above."
