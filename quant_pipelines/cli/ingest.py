"""`qp ingest` writes here and now; `qp backfill` asks a running Dagster to."""

from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from quant_pipelines.calendars import Session, parse_session, partition_key, session_key
from quant_pipelines.cli.dagster_api import SUCCEEDED, BackfillProgress, DagsterApi, DagsterRefused
from quant_pipelines.cli.project import console, market_named, open_lake
from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import Window, Writer, no_fence
from quant_pipelines.lineage import open_lineage
from quant_pipelines.markets import Market
from quant_pipelines.prices import Collector, Publisher, all_sessions, chunks
from quant_pipelines.settings import Settings
from quant_pipelines.sources import open_fallback, open_source, who_answers

_WRITER = Writer(who="qp ingest", run_id=None, code_version=None)

MarketName = Annotated[str, typer.Argument(help="A market of markets.yaml.")]
From = Annotated[
    str | None, typer.Option("--from", help="First session, e.g. 2024-01-02; default: the market's first.")
]
To = Annotated[str | None, typer.Option("--to", help="Last session; default: the last one the source has.")]


def ingest(market: MarketName, first: From = None, last: To = None) -> None:
    """Fetch, judge and publish prices without Dagster."""
    settings = Settings()
    entry = market_named(settings, market)
    clock = SystemClock()
    answering = who_answers(open_source(entry, clock), open_fallback(entry, clock))
    if answering.degraded:
        console.print(f"[yellow]The fallback answers. {answering.degraded}[/]")
    source = answering.source
    sessions = _chosen(entry, all_sessions(entry, source.watermark(), clock), first, last)
    lake = open_lake(settings)
    collector = Collector(market=entry, answering=answering, lake=lake, clock=clock)
    publisher = Publisher(
        market=entry,
        listings=source.listings(),
        prices_are_raw=source.prices_are_raw,
        lake=lake,
        clock=SystemClock(),
    )
    record = open_lineage(settings, clock=clock).record
    rows = restated = 0
    with steps() as progress:
        task = progress.add_task(f"{market} sessions", total=len(sessions))
        for window in chunks(entry.sessions_calendar, Window(sessions[0], sessions[-1])):
            collector.collect(window, writer=_WRITER, fence=no_fence, record=record)
            published = publisher.publish(window, writer=_WRITER, fence=no_fence, record=record)
            rows, restated = rows + published.prices.num_rows, restated + published.restatements.num_rows
            progress.advance(task, len(entry.sessions_calendar.sessions(window.first, window.last)))
    console.print(
        f"{market}: {len(sessions)} sessions, {session_key(sessions[0])} to {session_key(sessions[-1])}, "
        f"{rows} prices, {restated} restated values. See `qp table show {market} prices`."
    )


def backfill(market: MarketName, first: From = None, last: To = None) -> None:
    """Ask the running Dagster to backfill raw_bars and prices, and follow it to the end."""
    settings = Settings()
    entry = market_named(settings, market)
    source = open_source(entry, SystemClock())
    sessions = _chosen(entry, all_sessions(entry, source.watermark(), SystemClock()), first, last)
    run_backfill(DagsterApi(settings.dagster_address), entry, sessions)


def run_backfill(api: DagsterApi, market: Market, sessions: list[Session]) -> None:
    """Launch a backfill and show its progress; a failed one is an error."""
    assets = [[market.name, "raw_bars"], [market.name, "prices"]]
    calendar = market.sessions_calendar
    keys = partition_key(calendar, sessions[0]), partition_key(calendar, sessions[-1])
    backfill_id = api.launch_backfill(
        assets, first=keys[0], last=keys[1], title=f"{market.name} {keys[0]} to {keys[1]}"
    )
    console.print(f"Backfill {backfill_id}: {api.address}/runs/b/{backfill_id}")
    with steps() as progress:
        task = progress.add_task(f"{market.name} partitions", total=None)

        def show(step: BackfillProgress) -> None:
            progress.update(task, total=step.partitions or None, completed=step.succeeded + step.failed)

        end = api.follow_backfill(backfill_id, tell=show)
    if end.status not in SUCCEEDED or end.failed:
        raise DagsterRefused(
            f"Backfill {backfill_id} ended as {end.status}: {end.failed} of {end.partitions} partitions failed. "
            f"{end.error or ''} Look at {api.address}/runs/b/{backfill_id}."
        )


def _chosen(market: Market, known: list[Session], first: str | None, last: str | None) -> list[Session]:
    begin = parse_session(first) if first else market.begins
    end = parse_session(last) if last else max(known, default=market.begins)
    chosen = [session for session in known if begin <= session <= end]
    if not chosen:
        reach = f"{session_key(known[0])} to {session_key(known[-1])}" if known else "nothing yet"
        raise DagsterRefused(
            f"{market.name} has no closed session from {session_key(begin)} to {session_key(end)}; "
            f"its source has {reach}."
        )
    return chosen


def steps() -> Progress:
    """A bar that counts."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )
