"""`qp policy`: what a strategy's deployment policy would have done in the past."""

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
from quant_pipelines.deployment import decisions
from quant_pipelines.deployment.failures import BadHistory
from quant_pipelines.deployment.replay import Replay, replay
from quant_pipelines.journal import open_journal
from quant_pipelines.labels import LABEL_SETS
from quant_pipelines.lake import Window
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.models import Machine
from quant_pipelines.predictions.past import Past, Records, past_of
from quant_pipelines.registry import open_models
from quant_pipelines.serving import Predictor
from quant_pipelines.settings import Settings
from quant_pipelines.snapshots import InputMissing, Maker, SnapshotBuilder, open_snapshots
from quant_pipelines.strategies import Strategy

policy = typer.Typer(no_args_is_help=True, help="What a strategy's deployment policy would have done in the past.")


@policy.callback()
def _group() -> None:  # pyright: ignore[reportUnusedFunction]
    """Without it typer takes a single command for the whole group."""


@policy.command()
def backtest(
    strategy: Annotated[str, typer.Option(help="A strategy of strategies.yaml; its `deployment` is replayed.")],
    market: Annotated[str | None, typer.Option(help="Its market; another one is refused.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="Default: the first judged version's session.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Default: the last session with prices.")] = None,
) -> None:
    """Replay the policy over the decisions on record: what would have gone live when, and what it would have brought.

    Stored versions are asked about the sessions after their own. Nothing is put on record or moved.
    """
    settings = Settings()
    chosen = strategy_named(settings, strategy)
    if market not in (None, chosen.market):
        raise BadHistory(f"{strategy} is a strategy of {chosen.market}, not of {market}.")
    records = _records(settings, chosen)
    window = _window(records, chosen, first, last)
    with Status(f"replaying {strategy} from {session_key(window.first)}", console=console):
        past = past_of(records, chosen, window)
        found = replay(past.history, chosen.rollout_policy)
    _show(past, found)


def _records(settings: Settings, strategy: Strategy) -> Records:
    known, lake = known_names(settings), open_lake(settings)
    market = known.markets[strategy.market]
    builder = SnapshotBuilder(
        market=market,
        registry=known.features(market),
        lake=lake,
        store=open_snapshots(settings),
        label_spans={name: each.span_sessions for name, each in LABEL_SETS.items()},
        maker=Maker("qp policy backtest", code_version()),
        clock=SystemClock(),
        threads=settings.threads,
    )
    models = open_models(settings, clock=SystemClock())
    predictor = Predictor(models=models, builder=builder, machine=Machine(threads=settings.threads))
    journal = open_journal(settings, clock=SystemClock())
    return Records(market=market, lake=lake, journal=journal, predictor=predictor)


def _window(records: Records, strategy: Strategy, first: str | None, last: str | None) -> Window:
    prices = records.lake.table(records.market.name, PRICES).session_ids()
    if not prices:
        raise InputMissing.table(f"{records.market.name}/{PRICES.name}")
    model = f"{records.market.name}.{strategy.name}"
    cutoffs = [decision.evidence.cutoff for _, decision in decisions(records.journal, model)]
    ends = parse_session(last) if last else max(prices)
    begins = parse_session(first) if first else min(cutoffs, default=ends)
    return Window(begins, ends)


def _show(past: Past, found: Replay) -> None:
    events = Table(
        Column("session", no_wrap=True), "version", "what", "percent", "verdict", "why",
        title=f"What the policy would have done with {past.history.model}", title_justify="left",
    )  # fmt: skip
    for each in found.events:
        stage = "" if each.stage is None else str(each.stage)
        events.add_row(
            session_key(each.session), str(each.version.number), each.doing, stage, each.verdict or "",
            escape(each.text),
        )  # fmt: skip
    console.print(events)
    worth = Table("mean per session", "sessions", "this policy", "never retrain", "always newest")
    for name, paths in found.paths.items():
        means = paths.means()
        numbers = ["not known"] * 3 if means is None else [f"{each:.6f}" for each in means]
        worth.add_row(name, str(paths.sessions), *numbers)
    console.print(worth)
    for each in past.silent:
        console.print(f"Could not be asked: {each}", markup=False)
