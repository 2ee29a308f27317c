"""Prices and published features of a market as a folder that pyqlib reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.feature_tables.panels import PRICE_COLUMNS, price_panel
from quant_pipelines.lake import Lake, Table, Window
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.lineage.made_from import MADE_FROM
from quant_pipelines.markets import Market
from quant_pipelines.qlib_bridge.provider import Row, write_provider


class ExportRefused(OperatorActionRequired):
    """The tables are not there, do not fit together, or would overwrite something."""

    code = "QP266"


@dataclass(frozen=True, slots=True)
class Exported:
    """How much was written."""

    sessions: int
    symbols: int
    fields: int


def export_provider(lake: Lake, market: Market, folder: Path, tables: Sequence[str], window: Window) -> Exported:
    """Write adjusted prices, `$factor` and every feature of these tables over the window."""
    if folder.exists() and any(folder.iterdir()):
        raise ExportRefused(f"{folder} is not empty. Name a new folder, or empty this one.")
    prices = lake.table(market.name, PRICES).read(window, columns=PRICE_COLUMNS)
    if prices.num_rows == 0:
        raise ExportRefused(f"{market.name} has no prices in that span. Run `qp backfill {market.name}`.")
    laid_out = price_panel(prices, market.sessions_calendar.sessions(window.first, window.last))
    features: dict[str, Row] = {}
    for name in tables:
        rows = _stored(lake, market, name).read(window)
        if [rows[SESSION], rows[SYMBOL]] != [prices[SESSION], prices[SYMBOL]]:
            raise ExportRefused(
                f"{market.name}/{name} has {rows.num_rows} rows for {prices.num_rows} of prices. "
                f"Materialise it over the same sessions, e.g. with the job build_{market.name}."
            )
        for column in rows.column_names:
            if column not in {SESSION, SYMBOL, MADE_FROM}:
                features[column] = np.full(laid_out.panel.rows, np.nan, np.float32)
                features[column][laid_out.places] = rows[column].to_numpy()
    write_provider(folder, laid_out.panel, features)
    sessions = int(np.unique(laid_out.panel.sessions).size)
    return Exported(sessions, len(laid_out.panel.symbols), len(features))


def _stored(lake: Lake, market: Market, name: str) -> Table:
    table = lake.stored(market.name, name) if name in lake.names(market.name) else None
    if table is None or MADE_FROM not in table.schema.names or table.schema.key != (SESSION, SYMBOL):
        raise ExportRefused(
            f"{market.name} has no feature table {name!r}. There are: {', '.join(lake.names(market.name))}."
        )
    return table
