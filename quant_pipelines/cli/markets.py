"""`qp markets`."""

from rich.table import Table

from quant_pipelines.calendars import session_key
from quant_pipelines.cli.project import all_markets, console
from quant_pipelines.clock import SystemClock
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.markets import Market
from quant_pipelines.settings import Settings
from quant_pipelines.sources import open_source


def markets() -> None:
    """List the markets: calendar, source, and how far the source reaches."""
    shown = Table("market", "calendar", "zone", "source", "reaches", "description")
    for market in all_markets(Settings()).values():
        calendar = market.sessions_calendar
        shown.add_row(
            market.name, calendar.name, calendar.timezone, market.source.kind, _reach(market), market.description
        )
    console.print(shown)


def _reach(market: Market) -> str:
    try:
        last = open_source(market, SystemClock()).watermark().last_session
    except QuantPipelinesError as error:
        return f"[red]{error}[/]"
    return session_key(last) if last else "nothing yet"
