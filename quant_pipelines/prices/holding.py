"""Rows that broke a hard rule go to `quarantine`, each with its reason; nothing else drops a row."""

from collections.abc import Sequence

import pyarrow as pa

from quant_pipelines.clock import Clock
from quant_pipelines.lake import Fence, Lake, Window, Writer
from quant_pipelines.lake.tables import QUARANTINE
from quant_pipelines.markets import Market
from quant_pipelines.prices.windows import label_window
from quant_pipelines.quality import RAW_RULES, Findings, facts_for, judge
from quant_pipelines.sources import Listing


def hold_out(
    market: Market,
    listings: Sequence[Listing],
    raw: pa.Table,
    window: Window,
    *,
    lake: Lake,
    clock: Clock,
    writer: Writer,
    fence: Fence,
) -> Findings:
    """Judge the window's raw bars and make its quarantine hold exactly the broken ones."""
    findings = judge(raw, RAW_RULES, facts_for(market, listings, window, clock))
    labels = label_window(market.sessions_calendar, window)
    rows = findings.quarantine_rows()
    lake.table(market.name, QUARANTINE).replace(rows, window=labels, writer=writer, fence=fence)
    return findings
