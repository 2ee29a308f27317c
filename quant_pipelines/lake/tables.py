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
BAR_COLUMNS = (
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
        *BAR_COLUMNS,
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
        *BAR_COLUMNS,
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

INCIDENTS = TableSchema(
    "incidents",
    "Runs that failed, one row each, with the error and what to do.",
    key=(SESSION, "run_id"),
    columns=(
        Column(SESSION, SESSION_TYPE, "The day the failure was seen, UTC.", nullable=False),
        Column("run_id", pa.string(), "Dagster's run, and the correlation id.", nullable=False),
        Column("job", pa.string(), "The job that ran.", nullable=False),
        Column("step", pa.string(), "The step that failed; null where the process died."),
        Column("code", pa.string(), "The project's error code, where it was one of ours."),
        Column("message", pa.string(), "What was found, what was expected, what to do.", nullable=False),
        Column("seen_at", pa.timestamp("us", "UTC"), "When the failure was seen.", nullable=False),
    ),
)

REPORT_HORIZONS = (1, 2, 5, 10, 20)
REPORT_QUANTILES = 5

FACTOR_REPORT = TableSchema(
    "factor_report",
    "How well each feature told later returns, over the trailing sessions that end with this one.",
    key=(SESSION, "factor"),
    columns=(
        _session,
        Column("factor", pa.string(), "The feature.", nullable=False),
        Column("table", pa.string(), "The table that holds it.", nullable=False),
        Column("ic", pa.float64(), "Mean over sessions of the correlation of value and next return."),
        Column("ic_std", pa.float64(), "Its standard deviation over sessions."),
        Column("icir", pa.float64(), "ic / ic_std, per session and not annualised."),
        Column("ic_t", pa.float64(), "Newey-West t of ic."),
        Column("rank_ic", pa.float64(), "Mean over sessions of the correlation of ranks."),
        Column("rank_ic_std", pa.float64(), "Its standard deviation over sessions."),
        Column("rank_icir", pa.float64(), "rank_ic / rank_ic_std."),
        Column("rank_ic_t", pa.float64(), "Newey-West t of rank_ic."),
        *(
            Column(f"decay_{each}", pa.float64(), f"rank_ic with the return over {each} sessions.")
            for each in REPORT_HORIZONS
        ),
        *(
            Column(f"quantile_{each}", pa.float64(), f"Mean next return of quantile {each} beyond that of all names.")
            for each in range(1, REPORT_QUANTILES + 1)
        ),
        *(
            Column(f"quantile_error_{each}", pa.float64(), f"Standard error of quantile_{each}.")
            for each in range(1, REPORT_QUANTILES + 1)
        ),
        Column("spread", pa.float64(), "Highest quantile less lowest."),
        Column("spread_error", pa.float64(), "Standard error of the spread."),
        Column("turnover", pa.float64(), "Share of names that are new in the end quantiles, a session."),
        Column("rank_autocorrelation", pa.float64(), "Correlation of ranks with those of the session before."),
        Column("coverage", pa.float64(), "Share of traded names that have a value."),
        Column("sessions", pa.int32(), "Sessions that gave a correlation.", nullable=False),
        Column("dropped", pa.int32(), "Sessions with too few names or a constant side.", nullable=False),
        Column("cluster", pa.string(), "First of the features that rank names alike; null where none does."),
        Column(
            "made_from", pa.string(), "Digest of everything the report was made from.", nullable=False, identity=False
        ),
    ),
)

TABLES = {table.name: table for table in (RAW_BARS, PRICES, QUARANTINE, RESTATEMENTS, INCIDENTS, FACTOR_REPORT)}
