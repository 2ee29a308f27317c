"""The catalogue of tables. A new table is one entry here."""

import pyarrow as pa

from quant_pipelines.arrays import SESSION, SESSION_TYPE, SYMBOL
from quant_pipelines.lake.schemas import Column, TableSchema

_session = Column(SESSION, SESSION_TYPE, "The session's label in the market's calendar.", nullable=False)
_symbol = Column(SYMBOL, pa.string(), "The instrument, as the source names it.", nullable=False)
_provenance = (
    Column("source", pa.string(), "Who delivered the row.", identity=False),
    Column("fetched_at", pa.timestamp("us", "UTC"), "When it was fetched.", identity=False),
)
_BAR = (
    Column("open", pa.float64(), "First price of the session, raw."),
    Column("high", pa.float64(), "Highest price of the session, raw."),
    Column("low", pa.float64(), "Lowest price of the session, raw."),
    Column("close", pa.float64(), "Last price of the session, raw."),
    Column("volume", pa.float64(), "Traded shares or coins."),
    Column("amount", pa.float64(), "Traded value in the market's currency."),
    Column("previous_close", pa.float64(), "The exchange's reference price for the session."),
    Column(
        "factor",
        pa.float64(),
        "Cumulative adjustment factor, dated; adjusted(t) as of T = price(t) * factor(t) / factor(T).",
    ),
)

RAW_BARS = TableSchema(
    "raw_bars",
    "Bars exactly as the source gave them, dirt included. A key delivered twice is two occurrences.",
    key=(SESSION, SYMBOL, "occurrence"),
    columns=(
        _session,
        _symbol,
        Column("occurrence", pa.int32(), "0 for the first row of a key, 1 for the second, ...", nullable=False),
        *_BAR,
        *_provenance,
    ),
)

PRICES = TableSchema(
    "prices",
    "Checked bars, one per listed symbol and session. Raw prices; adjust as of a cutoff when reading.",
    key=(SESSION, SYMBOL),
    columns=(
        _session,
        _symbol,
        *_BAR,
        Column(
            "vwap",
            pa.float64(),
            "Volume-weighted price: amount / volume, else the typical price (high + low + close) / 3.",
        ),
        Column("vwap_is_typical", pa.bool_(), "True where no amount was known and vwap is the typical price."),
        Column("suspended", pa.bool_(), "Listed, but did not trade: prices are null.", nullable=False),
        Column(
            "quarantined", pa.bool_(), "The source's row broke a rule and is held out: prices are null.", nullable=False
        ),
        Column("limit_up", pa.bool_(), "Closed at the daily upper limit; null where no limit or reference is known."),
        Column("limit_down", pa.bool_(), "Closed at the daily lower limit; null where no limit or reference is known."),
        *_provenance,
    ),
)

QUARANTINE = TableSchema(
    "quarantine",
    "Rows that broke a hard rule, one per row and rule, with the reason. They are in no other checked table.",
    key=(SESSION, SYMBOL, "occurrence", "rule"),
    columns=(
        _session,
        _symbol,
        Column("occurrence", pa.int32(), "Which of the rows with this key.", nullable=False),
        Column("rule", pa.string(), "The rule that was broken.", nullable=False),
        Column("reason", pa.string(), "What was found and what was expected."),
        Column("row", pa.string(), "The whole row as JSON."),
        *_provenance,
    ),
)

RESTATEMENTS = TableSchema(
    "restatements",
    "Bars that changed after they were first published: which, from what, to what.",
    key=(SESSION, SYMBOL, "column", "new_version"),
    columns=(
        _session,
        _symbol,
        Column(
            "column",
            pa.string(),
            "The column that changed; `row` where a whole bar appeared or vanished.",
            nullable=False,
        ),
        Column("old_value", pa.string(), "The value before, as text; null where there was none."),
        Column("new_value", pa.string(), "The value after, as text; null where there is none."),
        Column("relative_change", pa.float64(), "new / old - 1 where both are numbers."),
        Column("old_version", pa.string(), "Data version of the session before.", nullable=False),
        Column("new_version", pa.string(), "Data version of the session after.", nullable=False),
        Column("seen_at", pa.timestamp("us", "UTC"), "When the change was found.", identity=False),
    ),
)

TABLES = {table.name: table for table in (RAW_BARS, PRICES, QUARANTINE, RESTATEMENTS)}
