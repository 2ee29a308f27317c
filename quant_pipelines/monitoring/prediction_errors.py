"""From predictions and what then happened to errors: a row for each prediction whose label has resolved (S3-73)."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.arrays import SESSION, SESSION_TYPE, SYMBOL
from quant_pipelines.calendars import Session
from quant_pipelines.labels import LABEL_SET
from quant_pipelines.lake import Commit, Fence, Lake, Window, Writer, no_fence
from quant_pipelines.lake.schemas import Column, TableSchema
from quant_pipelines.monitoring.decay import SessionErrors

STRATEGY, VERSION, SCORE, VALUE = "strategy", "version", "score", "value"
RESOLVES, ABSOLUTE_ERROR = "resolves", "absolute_error"

PREDICTION_ERRORS = TableSchema(
    "prediction_errors",
    "How far each prediction was from what then happened. A row appears when the label has resolved, never before.",
    key=(SESSION, SYMBOL, STRATEGY, VERSION),
    columns=(
        Column(SESSION, SESSION_TYPE, "The session of the signal, at whose close it was predicted.", nullable=False),
        Column(SYMBOL, pa.string(), "The instrument, as the source names it.", nullable=False),
        Column(STRATEGY, pa.string(), "The strategy that predicted.", nullable=False),
        Column(VERSION, pa.string(), "The model version that predicted.", nullable=False),
        Column(SCORE, pa.float64(), "What was predicted, in the unit of the label.", nullable=False),
        Column(VALUE, pa.float64(), "What happened: the value of the label.", nullable=False),
        Column(ABSOLUTE_ERROR, pa.float64(), "The distance between the two.", nullable=False),
        Column(RESOLVES, SESSION_TYPE, "The session at whose close the label was known.", nullable=False),
    ),
)
_KEY_ORDER = [(name, "ascending") for name in PREDICTION_ERRORS.key]


def prediction_errors(
    predictions: pa.Table, labels: pa.Table, *, strategy: str, label_set: str, through: Session
) -> pa.Table:
    """The rows of all predictions whose label was known when a session had closed.

    `predictions` have session, symbol, version and score; `labels` are rows of the `labels` table. What has no value
    or no score that is a number has no error, and no row.
    """
    asked = labels.filter((pc.field(LABEL_SET) == label_set) & (pc.field(RESOLVES) <= pa.scalar(through, SESSION_TYPE)))
    realised = asked.select([SESSION, SYMBOL, VALUE, RESOLVES])
    joined = predictions.select([SESSION, SYMBOL, VERSION, SCORE]).join(
        realised, keys=[SESSION, SYMBOL], join_type="inner"
    )
    scores, values = (joined[name].to_numpy().astype(np.float64) for name in (SCORE, VALUE))
    distance = np.abs(scores - values)
    rows = (
        joined.append_column(STRATEGY, pa.repeat(strategy, joined.num_rows))
        .append_column(ABSOLUTE_ERROR, pa.array(distance))
        .filter(pa.array(np.isfinite(distance)))
    )
    return rows.select(PREDICTION_ERRORS.names).cast(PREDICTION_ERRORS.arrow).sort_by(_KEY_ORDER)


def publish_errors(
    lake: Lake, market: str, rows: pa.Table, *, strategy: str, window: Window, writer: Writer, fence: Fence = no_fence
) -> Commit:
    """Make the window hold exactly these rows of the strategy; those of others stay.

    They are read and written again, so a market's errors are published by one writer at a time.
    """
    table = lake.table(market, PREDICTION_ERRORS)
    others = table.read(window).filter(pc.field(STRATEGY) != strategy)
    merged = pa.concat_tables([others, rows.cast(PREDICTION_ERRORS.arrow)]).sort_by(_KEY_ORDER)
    return table.replace(merged, window=window, writer=writer, fence=fence)


def errors_of(lake: Lake, market: str, strategy: str) -> SessionErrors:
    """The strategy's errors by session, whichever version predicted; none where nothing was published."""
    return errors_by_strategy(lake, market).get(strategy, SessionErrors.none())


def errors_by_strategy(lake: Lake, market: str) -> dict[str, SessionErrors]:
    """The same of every strategy that has errors, in one reading of the table."""
    table = lake.stored(market, PREDICTION_ERRORS.name)
    if table is None:
        return {}
    columns = [SESSION, STRATEGY, ABSOLUTE_ERROR, RESOLVES]
    opened, parts = table.at(), dict[str, list[SessionErrors]]()
    for year in _years(list(table.session_ids())):
        rows = opened.read(year, columns=columns)
        for strategy in rows[STRATEGY].unique().to_pylist():
            parts.setdefault(strategy, []).append(by_session(rows.filter(pc.field(STRATEGY) == strategy)))
    return {strategy: _joined(each) for strategy, each in parts.items()}


def _joined(parts: list[SessionErrors]) -> SessionErrors:
    return SessionErrors(
        np.concatenate([each.session for each in parts]),
        np.concatenate([each.resolves for each in parts]),
        np.concatenate([each.absolute_error for each in parts]),
    )


def by_session(rows: pa.Table) -> SessionErrors:
    """One mean for each session of the rows; it is known once the last of them is."""
    grouped = rows.group_by(SESSION, use_threads=False).aggregate([(ABSOLUTE_ERROR, "mean"), (RESOLVES, "max")])
    ordered = grouped.sort_by(SESSION)
    return SessionErrors(
        ordered[SESSION].to_numpy().astype("datetime64[us]"),
        ordered[f"{RESOLVES}_max"].to_numpy().astype("datetime64[us]"),
        ordered[f"{ABSOLUTE_ERROR}_mean"].to_numpy().astype(np.float64),
    )


def _years(sessions: list[Session]) -> Iterator[Window]:
    """Year by year: a large market has millions of rows in each."""
    for year in sorted({each.year for each in sessions}):
        within = [each for each in sessions if each.year == year]
        yield Window(min(within), max(within))
