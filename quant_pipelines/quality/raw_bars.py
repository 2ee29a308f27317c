"""The rules for bars as a source gives them."""

# pyarrow.compute makes its functions while it is imported, so no checker can see them.
# pyright: reportAttributeAccessIssue=false

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.arrays import SESSION, SESSION_TYPE, SYMBOL
from quant_pipelines.lake.tables import RAW_BARS
from quant_pipelines.quality.bars import (
    FOUR_PRICES,
    KEY,
    NUMBERS,
    finite,
    hard,
    high_encloses,
    is_session,
    known,
    low_encloses,
    not_negative,
    positive,
    soft,
    with_nan_as_infinity,
)
from quant_pipelines.quality.checks import AtLeast, Between, Known
from quant_pipelines.quality.facts import Facts
from quant_pipelines.quality.frame import Frame, IntArray
from quant_pipelines.quality.rules import Rule, View
from quant_pipelines.quality.shape import schema_rule


def _rows(table: pa.Table, facts: Facts) -> pa.Table:
    """The bars, with how often their key was delivered and how long their symbol was listed."""
    deliveries, copy, differing = _delivered(Frame(table))
    listed_from, listed_until = _listing_of(table, facts)
    return (
        table.append_column("deliveries", pa.array(deliveries))
        .append_column("copy", pa.array(copy))
        .append_column("differing", pa.array(differing))
        .append_column("listed_from", listed_from)
        .append_column("listed_until", listed_until)
    )


def _delivered(frame: Frame) -> tuple[IntArray, IntArray, IntArray]:
    """Per row: the rows of its key; which copy it is where all of them agree; how many differ from the first."""
    deliveries = frame.deliveries(KEY)
    copy, differing = np.zeros_like(deliveries), np.zeros_like(deliveries)
    repeated = np.flatnonzero(deliveries > 1)
    if not repeated.size:
        return deliveries, copy, differing
    keys = frame.keys(KEY)[repeated]
    occurrence = frame.values("occurrence")[repeated]
    order = np.lexsort((occurrence, keys))
    rows, keys = repeated[order], keys[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    group = np.repeat(np.arange(starts.size), np.diff(np.r_[starts, keys.size]))
    differs = _differ(frame, rows, rows[starts][group])
    per_group = np.bincount(group, weights=differs).astype(np.int64)
    differing[rows] = per_group[group]
    copy[rows] = np.where(per_group[group] == 0, np.arange(rows.size) - starts[group], 0)
    return deliveries, copy, differing


def _differ(frame: Frame, rows: IntArray, others: IntArray) -> npt.NDArray[np.bool_]:
    """Whether two rows hold different bars. A null equals a null, and NaN equals NaN."""
    differs = np.zeros(rows.size, dtype=np.bool_)
    for name in NUMBERS:
        values, nulls = frame.values(name), pc.is_null(frame.table[name]).to_numpy()
        both_nan = np.isnan(values[rows]) & np.isnan(values[others])
        differs |= ((values[rows] != values[others]) & ~both_nan) | (nulls[rows] != nulls[others])
    return differs


def _listing_of(table: pa.Table, facts: Facts) -> tuple[pa.Array, pa.Array]:
    symbols = table[SYMBOL].combine_chunks().dictionary_encode()
    spans = {each.symbol: (each.listed, each.delisted) for each in facts.listings}
    known = [spans.get(symbol, (None, None)) for symbol in symbols.dictionary.to_pylist()]
    begins = pa.array([begin for begin, _ in known], SESSION_TYPE)
    ends = pa.array([end for _, end in known], SESSION_TYPE)
    return begins.take(symbols.indices), ends.take(symbols.indices)


ROWS = View("rows", key=(*KEY, "occurrence"), derive=_rows, by_row=True)
DELIVERED = View("rows_as_delivered", key=(*KEY, "occurrence"), derive=with_nan_as_infinity, by_row=True)

RAW_RULES: tuple[Rule, ...] = (
    schema_rule(RAW_BARS),
    hard(
        "duplicate_row",
        ROWS,
        "one bar per session and symbol, so the later copies are held out",
        Between(
            "copy", "the same bar was delivered {deliveries} times and this is copy {copy}, counted from 0", high=0
        ),
    ),
    hard(
        "conflicting_key",
        ROWS,
        "one bar per session and symbol, and nothing says which of these is true",
        Between("differing", "{deliveries} bars were delivered and {differing} of them differ from the first", high=0),
    ),
    hard("null_price", ROWS, "a bar has an open, a high, a low and a close", *map(known, FOUR_PRICES)),
    hard("finite", DELIVERED, "every number is finite, and a missing one is null", *map(finite, NUMBERS)),
    hard("positive_price", ROWS, "prices are above zero", *map(positive, (*FOUR_PRICES, "previous_close"))),
    high_encloses(ROWS),
    low_encloses(ROWS),
    hard("volume_not_negative", ROWS, "a traded volume is zero or more", not_negative("volume")),
    hard("amount_not_negative", ROWS, "a traded amount is zero or more", not_negative("amount")),
    hard("positive_factor", ROWS, "an adjustment factor is above zero", positive("factor")),
    is_session(ROWS),
    soft(
        "listed",
        ROWS,
        "a symbol has bars only while it is listed",
        Known("listed_from", "{symbol} is unknown to the market's listings"),
        AtLeast(SESSION, "listed_from", "{symbol} was listed on {listed_from} only"),
        AtLeast("listed_until", SESSION, "{symbol} was delisted on {listed_until}"),
    ),
)
