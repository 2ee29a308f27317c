"""`qp export`."""

from pathlib import Path
from typing import Annotated

import typer

from quant_pipelines.calendars import parse_session
from quant_pipelines.cli.project import console, market_named, open_lake
from quant_pipelines.feature_tables.export import export_provider
from quant_pipelines.lake import Window
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.settings import Settings


def export(
    market: Annotated[str, typer.Argument(help="A market of markets.yaml.")],
    folder: Annotated[Path, typer.Argument(help="A new folder for pyqlib's provider_uri.")],
    table: Annotated[list[str] | None, typer.Option(help="A feature table, e.g. alpha158; may be repeated.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First session; default: the first there is.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last session; default: the last there is.")] = None,
) -> None:
    """Write prices and features as a pyqlib provider folder (daily, bin format)."""
    settings = Settings()
    entry, lake = market_named(settings, market), open_lake(settings)
    there = lake.table(market, PRICES).session_ids()
    window = Window(
        parse_session(first) if first else min(there, default=entry.begins),
        parse_session(last) if last else max(there, default=entry.begins),
    )
    done = export_provider(lake, entry, folder, table or [], window)
    console.print(
        f"{done.sessions} sessions of {done.symbols} symbols with {done.fields} features in {folder}.\n"
        f'Read it with qlib.init(provider_uri="{folder.absolute()}").'
    )
