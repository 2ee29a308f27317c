"""`qp triggers`: is it time to train again, and what was decided so far."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from quant_pipelines.calendars import parse_session, session_key
from quant_pipelines.cli.project import all_markets, all_strategies, console, market_named, open_lake
from quant_pipelines.cli.strategies import strategy_named
from quant_pipelines.clock import SystemClock
from quant_pipelines.journal import Journal, open_journal
from quant_pipelines.monitoring import errors_of
from quant_pipelines.settings import Settings
from quant_pipelines.strategies import Strategy
from quant_pipelines.triggers import (
    Audit,
    Checker,
    decision_text,
    effective,
    scheduler_audits,
    thresholds_text,
    window_text,
)

triggers = typer.Typer(no_args_is_help=True, help="Check whether it is time to train again, and list past decisions.")

_SHOWN_ROWS = 20
MarketOption = Annotated[str | None, typer.Option(help="Only this market.")]
StrategyOption = Annotated[str | None, typer.Option(help="Only this strategy.")]


@triggers.command()
def check(
    market: MarketOption = None,
    session: Annotated[str | None, typer.Option(help="The session that closed; default: the last one.")] = None,
    strategy: StrategyOption = None,
) -> None:
    """What would start after a session. Nothing is started, and nothing put on record."""
    settings = Settings()
    found = list(_checked(settings, _chosen(settings, market, strategy), session))
    if not found:
        console.print("No strategy is meant. `qp strategies` lists them.")
        return
    shown = _table()
    for audit in found:
        shown.add_row(*_cells(audit))
    console.print(shown)


@triggers.command()
def audit(
    market: MarketOption = None,
    strategy: StrategyOption = None,
    last: Annotated[int, typer.Option(help="How many at most: the newest.", min=1)] = _SHOWN_ROWS,
) -> None:
    """The newest decisions on record, the newest last."""
    found = scheduler_audits(_journal(Settings()), market=market, strategy=strategy, last=last)
    if not found:
        console.print("Nothing is on record yet. docs/triggers.md says how to switch the sensor on.")
        return
    shown = _table("row", "decided (UTC)", Column("who", overflow="fold"))
    for each in found:
        when = f"{each.row.recorded_at:%Y-%m-%d %H:%M:%S}"
        shown.add_row(str(each.row.sequence), when, escape(each.row.actor), *_cells(each.audit))
    console.print(shown)


def _table(*before: Column | str) -> Table:
    return Table(
        *before, Column("strategy", no_wrap=True), Column("session", no_wrap=True), "window", "thresholds", "decision"
    )


def _cells(audit: Audit) -> tuple[str, ...]:
    texts = (window_text(audit), thresholds_text(audit), decision_text(audit))
    return f"{audit.market}.{audit.strategy}", session_key(audit.window.session), *(escape(each) for each in texts)


def _chosen(settings: Settings, market: str | None, strategy: str | None) -> Sequence[Strategy]:
    if market is not None:
        market_named(settings, market)  # a name that is none is told
    known = all_strategies(settings).values() if strategy is None else [strategy_named(settings, strategy)]
    return [each for each in known if market in (None, each.market)]


def _checked(settings: Settings, strategies: Sequence[Strategy], session: str | None) -> Iterator[Audit]:
    markets, lake, journal = all_markets(settings), open_lake(settings), _journal(settings)
    now = SystemClock().now()
    for strategy in strategies:
        market = markets[strategy.market]
        checker = Checker(
            market=market,
            journal=journal,
            retrain_of=lambda each: effective(each.retrain, settings),
            errors_of=lambda market, each: errors_of(lake, market.name, each.name),
        )
        closed = parse_session(session) if session else market.sessions_calendar.last_closed(now)
        yield checker.audit(strategy, closed)


def _journal(settings: Settings) -> Journal:
    return open_journal(settings, clock=SystemClock())
