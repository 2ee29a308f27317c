"""Checked prices from the sides that their rules look at: rows, sessions, gaps, the table as a whole."""

# pyarrow.compute makes its functions while it is imported, so no checker can see them.
# pyright: reportAttributeAccessIssue=false

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.arrays import SESSION, SESSION_TYPE, SYMBOL
from quant_pipelines.calendars import Session
from quant_pipelines.quality.bars import KEY, with_nan_as_infinity
from quant_pipelines.quality.facts import Facts
from quant_pipelines.quality.frame import Frame
from quant_pipelines.quality.rules import View

# Amount and volume are rounded by the exchange, so their quotient may leave the bar by a rounding step.
VWAP_TOLERANCE = 1e-6
Matrix = npt.NDArray[np.bool_]


def _as_they_are(table: pa.Table, facts: Facts) -> pa.Table:  # noqa: ARG001  one shape for every view
    return table


def _unpriced(table: pa.Table, facts: Facts) -> pa.Table:  # noqa: ARG001
    """Rows that say themselves that they carry no price."""
    flags = pc.add(pc.cast(table["suspended"], pa.int64()), pc.cast(table["quarantined"], pa.int64()))
    return table.append_column("flags", flags).filter(pc.or_(table["suspended"], table["quarantined"]))


def _priced(table: pa.Table, facts: Facts) -> pa.Table:
    """The other rows, with their return since the reference price and the room their vwap has."""
    rows = _unflagged(table)
    change = pa.array(_adjusted_return(Frame(rows)), pa.float64(), from_pandas=True)
    limit = facts.quality.spike_return
    return (
        rows.append_column("adjusted_return", change)
        .append_column("spike_return", _constant(limit, rows))
        .append_column("fall_return", _constant(-limit, rows))
        .append_column("vwap_floor", pc.multiply(rows["low"], 1.0 - VWAP_TOLERANCE))
        .append_column("vwap_ceiling", pc.multiply(rows["high"], 1.0 + VWAP_TOLERANCE))
    )


def _unflagged(table: pa.Table) -> pa.Table:
    return table.filter(pc.invert(pc.or_(table["suspended"], table["quarantined"])))


def _constant(value: float, rows: pa.Table) -> pa.Array:
    return pa.repeat(pa.scalar(value), rows.num_rows)


def _adjusted_return(frame: Frame) -> npt.NDArray[np.float64]:
    """close / reference - 1. The reference is the row's own, which knows of splits and dividends;
    where it has none, the symbol's last close at hand, by the factors' step."""
    close, reference = frame.values("close"), frame.values("previous_close").copy()
    symbols, factor = frame.codes(SYMBOL), frame.values("factor")
    # Close and factor break ties, so that the rows' order never decides, not even between repeated keys.
    order = np.lexsort((factor, close, frame.values(SESSION), symbols))
    before, after = order[:-1], order[1:]
    same = symbols[before] == symbols[after]
    before, after = before[same], after[same]
    # Only a row that breaks a hard rule divides by zero or overflows; its infinite return is a spike, too.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        step = np.where(np.isnan(factor[before]) & np.isnan(factor[after]), 1.0, factor[before] / factor[after])
        carried = np.full(close.size, np.nan)
        carried[after] = close[before] * step
        reference = np.where(np.isnan(reference), carried, reference)
        return close / reference - 1.0


def _dated(table: pa.Table, facts: Facts) -> pa.Table:  # noqa: ARG001
    """Priced rows of symbols that have a factor somewhere."""
    rows = _unflagged(table)
    dated = pc.unique(rows.filter(pc.is_valid(rows["factor"]))[SYMBOL])
    return rows.filter(pc.is_in(rows[SYMBOL], dated))


_COVERAGE = pa.schema(
    [
        (SESSION, SESSION_TYPE),
        ("priced_symbols", pa.int64()),
        ("listed_symbols", pa.int64()),
        ("coverage", pa.float64()),
        ("minimum_coverage", pa.float64()),
    ]
)


def _coverage(table: pa.Table, facts: Facts) -> pa.Table:
    """One row per closed session: how many of the listed symbols have a price."""
    sessions, _, listed, priced = _presence(table, facts)
    listed_symbols, priced_symbols = listed.sum(axis=1), (priced & listed).sum(axis=1)
    share = np.full(len(sessions), np.nan)
    np.divide(priced_symbols, listed_symbols, out=share, where=listed_symbols > 0)
    columns = [
        pa.array(sessions, SESSION_TYPE),
        pa.array(priced_symbols, pa.int64()),
        pa.array(listed_symbols, pa.int64()),
        pa.array(share, pa.float64(), from_pandas=True),
        pa.repeat(pa.scalar(facts.quality.minimum_coverage), len(sessions)),
    ]
    return pa.table(columns, schema=_COVERAGE)


_GAPS = pa.schema(
    [
        (SESSION, SESSION_TYPE),
        (SYMBOL, pa.string()),
        ("until", SESSION_TYPE),
        ("missing_sessions", pa.int64()),
        ("gap_sessions", pa.int64()),
    ]
)


def _gaps(table: pa.Table, facts: Facts) -> pa.Table:
    """One row per run of sessions in which a listed symbol has no price, suspended or not."""
    sessions, symbols, listed, priced = _presence(table, facts)
    missing = (listed & ~priced).T
    edge = np.zeros((missing.shape[0], 1), dtype=np.int8)
    steps = np.diff(np.hstack([edge, missing.astype(np.int8), edge]), axis=1)
    symbol, begins = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    labels = np.array(sessions, dtype="datetime64[us]")
    columns = [
        pa.array(labels[begins], SESSION_TYPE),
        pa.array(symbols, pa.string()).take(pa.array(symbol)),
        pa.array(labels[ends - 1], SESSION_TYPE),
        pa.array(ends - begins, pa.int64()),
        pa.repeat(pa.scalar(facts.quality.gap_sessions), symbol.size),
    ]
    return pa.table(columns, schema=_GAPS)


def _presence(table: pa.Table, facts: Facts) -> tuple[tuple[Session, ...], list[str], Matrix, Matrix]:
    """Closed sessions downwards, expected symbols across: who was listed, and who has a price."""
    sessions, listings = facts.closed_sessions, sorted(facts.expected_listings, key=lambda each: each.symbol)
    labels = np.array(sessions, dtype="datetime64[us]")[:, None]
    begins = np.array([each.listed for each in listings], dtype="datetime64[us]")
    ends = np.array([each.delisted or Session.max for each in listings], dtype="datetime64[us]")
    symbols = [each.symbol for each in listings]
    return sessions, symbols, (labels >= begins) & (labels <= ends), _marked(table, sessions, symbols)


def _marked(table: pa.Table, sessions: tuple[Session, ...], symbols: list[str]) -> Matrix:
    rows = table.filter(pc.is_valid(table["close"]))
    down = pc.index_in(rows[SESSION], pa.array(sessions, SESSION_TYPE))
    across = pc.index_in(rows[SYMBOL], pa.array(symbols, pa.string()))
    inside = pc.and_(pc.is_valid(down), pc.is_valid(across))
    marked = np.zeros((len(sessions), len(symbols)), dtype=np.bool_)
    marked[down.filter(inside).to_numpy(), across.filter(inside).to_numpy()] = True
    return marked


_FRESHNESS = pa.schema(
    [
        ("newest", SESSION_TYPE),
        ("last_closed", SESSION_TYPE),
        ("sessions_behind", pa.int64()),
        ("stale_after_sessions", pa.int64()),
    ]
)


def _freshness(table: pa.Table, facts: Facts) -> pa.Table:
    """One row: how many closed sessions have passed since the table's newest."""
    newest = facts.newest or pc.max(table[SESSION]).as_py()
    begin = facts.first if newest is None else newest
    passed = facts.calendar.sessions(begin, facts.last_closed) if begin <= facts.last_closed else []
    row = {
        "newest": newest,
        "last_closed": facts.last_closed,
        "sessions_behind": sum(newest is None or each > newest for each in passed),
        "stale_after_sessions": facts.quality.stale_after_sessions,
    }
    return pa.Table.from_pylist([row], schema=_FRESHNESS)


ALL_ROWS = View("all_rows", key=KEY, derive=_as_they_are, by_row=True)
NUMBERS_AS_DELIVERED = View("rows_as_delivered", key=KEY, derive=with_nan_as_infinity, by_row=True)
PRICED = View("priced_rows", key=KEY, derive=_priced)
UNPRICED = View("unpriced_rows", key=KEY, derive=_unpriced)
DATED = View("rows_of_symbols_with_factors", key=KEY, derive=_dated)
SESSIONS = View("sessions", key=(SESSION,), derive=_coverage)
GAPS = View("gaps", key=KEY, derive=_gaps)
TABLE = View("table", key=(), derive=_freshness)
