"""`qp snapshot`: freeze what a training may know, look at it, compare it, prove it."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.status import Status
from rich.table import Column, Table

from quant_pipelines.calendars import parse_session, session_key
from quant_pipelines.cli.project import console, known_names, open_lake
from quant_pipelines.cli.strategies import strategy_named
from quant_pipelines.clock import SystemClock
from quant_pipelines.code import code_version
from quant_pipelines.labels import LABEL_SETS
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.lineage import open_lineage
from quant_pipelines.settings import Settings
from quant_pipelines.snapshots import Document, InputMissing, Maker, SnapshotBuilder, SnapshotDiffers, open_snapshots
from quant_pipelines.snapshots.comparing import compare
from quant_pipelines.snapshots.tracing import node_of
from quant_pipelines.snapshots.verifying import Verifier

snapshot = typer.Typer(no_args_is_help=True, help="Freeze what a training may know; show, compare and verify it.")

SnapshotId = Annotated[str, typer.Argument(help="A snapshot's id, or how it begins; see `qp snapshot list`.")]
_SHORT = 16
_NAMED_FINDINGS, _NAMED_COLUMNS = 20, 6


@snapshot.command()
def build(
    strategy: Annotated[str, typer.Argument(help="A strategy of strategies.yaml.")],
    cutoff: Annotated[
        str | None, typer.Option(help="The last session it knows; default: the last with prices.")
    ] = None,
) -> None:
    """Freeze a snapshot here and now, without Dagster."""
    settings = Settings()
    chosen = strategy_named(settings, strategy)
    known = known_names(settings)
    market = known.markets[chosen.market]
    store, lake = open_snapshots(settings), open_lake(settings)
    prices = lake.table(market.name, PRICES).session_ids()
    if not prices:
        raise InputMissing.table(f"{market.name}/{PRICES.name}")
    builder = SnapshotBuilder(
        market=market,
        registry=known.features(market),
        lake=lake,
        store=store,
        label_spans={name: each.span_sessions for name, each in LABEL_SETS.items()},
        maker=Maker("qp snapshot build", code_version()),
        clock=SystemClock(),
        threads=settings.threads,
    )
    last = parse_session(cutoff) if cutoff else max(prices)
    with Status(f"freezing {strategy} at {session_key(last)}", console=console):
        built = builder.build(chosen, last)
        open_lineage(settings, clock=SystemClock()).record(node_of(built.document, store))
    _print(built.document)
    console.print("Frozen now." if built.made else "It was there already; nothing was written.")


@snapshot.command()
def show(snapshot_id: SnapshotId) -> None:
    """What a snapshot froze."""
    _print(open_snapshots(Settings()).named(snapshot_id))


@snapshot.command("list")
def list_(
    strategy: Annotated[str | None, typer.Option(help="Only those of this strategy.")] = None,
    limit: Annotated[int, typer.Option(help="How many at most: the newest.", min=1)] = 20,
) -> None:
    """The snapshots, newest last."""
    found = [each for each in open_snapshots(Settings()).documents() if strategy in (None, each.recipe.strategy)]
    if not found:
        console.print("There is no such snapshot yet. Make one: `qp snapshot build demo_lightgbm`.")
        return
    columns = ("id", "for", "strategy", "cutoff", "samples", "columns", "made (UTC)", "code")
    shown = Table(*(Column(each, no_wrap=each in ("id", "strategy")) for each in columns))
    for each in found[-limit:]:
        shown.add_row(
            each.id[:_SHORT], each.recipe.purpose, each.recipe.strategy, session_key(each.recipe.cutoff),
            str(each.outcome.samples), str(len(each.recipe.columns)),
            f"{each.provenance.created_at:%Y-%m-%d %H:%M}", each.recipe.code_version,
        )  # fmt: skip
    console.print(shown)


@snapshot.command()
def diff(old: SnapshotId, new: SnapshotId) -> None:
    """What differs between two snapshots, the causes first."""
    store = open_snapshots(Settings())
    before, after = store.named(old), store.named(new)
    differences = compare(before, after, store)
    if not differences:
        console.print("They are equal.")
        return
    shown = Table("what", before.id[:_SHORT], after.id[:_SHORT])
    for each in differences:
        shown.add_row(escape(each.what), escape(each.old), escape(each.new))
    console.print(shown)


@snapshot.command()
def verify(snapshot_id: SnapshotId) -> None:
    """Derive every byte again from the versions of the lake that were frozen, and say whether it is equal."""
    settings = Settings()
    store = open_snapshots(settings)
    named = snapshot_id if snapshot_id in store.ids() else store.named(snapshot_id).id
    with Status("verifying", console=console) as status:
        verifier = Verifier(
            lake=open_lake(settings), store=store, threads=settings.threads,
            tell=lambda what: status.update(f"verifying {what}"),
        )  # fmt: skip
        found = verifier.verify(named)
    for each in found[:_NAMED_FINDINGS]:
        console.print(f"[red]{escape(str(each))}[/]")
    if found:
        rest = f", of which {_NAMED_FINDINGS} are above" if len(found) > _NAMED_FINDINGS else ", named above"
        raise SnapshotDiffers(
            f"Snapshot {named[:_SHORT]} has {len(found)} findings{rest}. Train nothing on it. Look at the tables with "
            "`qp table verify`, restore what is damaged from a backup, or build a new snapshot."
        )
    console.print(f"Snapshot {named[:_SHORT]}: every byte is what was written, and what the lake gives again.")


def _print(document: Document) -> None:
    recipe, outcome = document.recipe, document.outcome
    facts = Table("what", "value")
    rows = {
        "id": document.id,
        "for": recipe.purpose if recipe.trained_on is None else f"infer, scaled as {recipe.trained_on[:_SHORT]}",
        "strategy": f"{recipe.strategy} of {recipe.market}, configuration {recipe.configuration_id[:_SHORT]}",
        "window": f"{session_key(recipe.window_first)} to {session_key(recipe.cutoff)}{_context(document)}",
        "universe": recipe.row_filter.choice.model_dump_json(exclude_none=True),
        "columns": f"{len(recipe.columns)}: {', '.join([*recipe.columns[:_NAMED_COLUMNS], '...'])}",
        "rows": f"{outcome.rows} of {outcome.symbols} symbols, {outcome.samples} samples",
        **{f"left out: {reason}": str(count) for reason, count in outcome.left_out.items() if count},
        "scale": f"{recipe.normalisation.kind}, fitted on {outcome.normaliser.fitted_on}",
        "code": recipe.code_version,
        "made": f"{document.provenance.created_at:%Y-%m-%d %H:%M:%S} UTC by {document.provenance.who}",
    }
    if recipe.labels is not None:
        rows["labels"] = f"{recipe.labels.label_set}, closed {recipe.labels.span_sessions} sessions after the signal"
    if outcome.split is not None:
        rows["split"] = outcome.split.reason or _split(document)
    for what, value in rows.items():
        facts.add_row(what, escape(value))
    console.print(facts)
    _print_tables(document)


def _print_tables(document: Document) -> None:
    tables = Table("table", "sessions", "first", "last", "version", "data version")
    for each in document.recipe.all_tables:
        tables.add_row(
            each.table, str(each.sessions), session_key(each.first), session_key(each.last),
            str(document.provenance.table_versions[each.table]), each.data_version[:_SHORT],
        )  # fmt: skip
    console.print(tables)


def _context(document: Document) -> str:
    recipe = document.recipe
    return "" if recipe.reads_from == recipe.window_first else f", read from {session_key(recipe.reads_from)} on"


def _split(document: Document) -> str:
    split = document.outcome.split
    if split is None:
        return ""
    parts = {"train": split.train, "validation": split.validation, "holdout": split.holdout}.items()
    return "; ".join(
        f"{name} {session_key(part.first)} to {session_key(part.last)} ({part.rows})" for name, part in parts if part
    )
