"""What may enter a table: every refusal names what was found, and beside it stands what is accepted."""

import math
import re
from collections.abc import Callable
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from quant_pipelines.errors import DataRejected
from quant_pipelines.lake import RowsRejected, Table, Window, Writer
from quant_pipelines.lake.schemas import TableSchema

Edit = Callable[[pa.Table], pa.Table]


def with_column(name: str, values: list, kind: pa.DataType) -> Edit:
    return lambda rows: rows.set_column(rows.schema.get_field_index(name), name, pa.array(values, kind))


REFUSED: dict[str, tuple[Edit, str]] = {
    "missing column": (lambda rows: rows.drop_columns(["close"]), "column close is missing"),
    "unknown column": (lambda rows: rows.append_column("colour", rows["note"]), "column colour is unknown"),
    "column twice": (lambda rows: rows.append_column("note", rows["note"]), "column note appears 2 times"),
    "null in a key": (with_column("symbol", [None, "B", "C"], pa.string()), "column symbol has 1 missing values"),
    "null session": (with_column("session", [None] * 3, pa.timestamp("us")), "column session has 3 missing values"),
    "infinity": (with_column("close", [1.0, math.inf, -math.inf], pa.float64()), "column close has 2 infinite values"),
    "key twice": (with_column("symbol", ["A", "B", "A"], pa.string()), "1 rows repeat a key, first session 2024-01-01"),
    "fraction in integers": (
        with_column("size", [1.0, 2.5, 3.0], pa.float64()),
        "column size is double and does not fit",
    ),
    "too large an integer": (with_column("size", [1, 2**40, 3], pa.int64()), "column size is int64 and does not fit"),
    "digits lost": (
        with_column("weight", [0.1, 1.0, 2.0], pa.float64()),
        "column weight is double and does not fit float",
    ),
    "number as text": (
        with_column("close", ["1", "2", "3"], pa.string()),
        "column close is string and does not fit double",
    ),
    "label with a zone": (
        with_column("session", [datetime(2024, 1, 1)] * 3, pa.timestamp("us", "UTC")),
        "column session is timestamp[us, tz=UTC] and does not fit",
    ),
    "outside the window": (
        with_column(
            "session", [datetime(2024, 1, 1), datetime(2024, 1, 2), datetime(2023, 12, 31)], pa.timestamp("us")
        ),
        "2 rows lie outside the window 2024-01-01 to 2024-01-01, first 2024-01-02",
    ),
}

ACCEPTED: dict[str, Edit] = {
    "as they are": lambda rows: rows,
    "other order of columns": lambda rows: rows.select(rows.column_names[::-1]),
    "nanosecond labels": with_column("session", [datetime(2024, 1, 1)] * 3, pa.timestamp("ns")),
    "dates as labels": with_column("session", [datetime(2024, 1, 1).date()] * 3, pa.date32()),
    "whole floats for integers": with_column("size", [0.0, 0.0, 0.0], pa.float64()),
    "wider integers": with_column("size", [0, 0, 0], pa.int64()),
    "floats that fit": with_column("weight", [0.0, 0.5, 1.0], pa.float64()),
    "large text": with_column("symbol", ["S0", "S1", "S2"], pa.large_string()),
    "encoded text": lambda rows: rows.set_column(1, "symbol", rows["symbol"].dictionary_encode()),
    "untyped nulls": with_column("source", [None] * 3, pa.null()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_rows_are_refused_by_name_and_change_nothing(
    table: Table, rows, days: Callable[..., Window], writer: Writer, name: str
):
    """S2-106: format mismatch and missing fields are named errors."""
    table.replace(rows([0]), window=days(0), writer=writer)
    before = table.version(), table.session_ids()
    edit, found = REFUSED[name]
    with pytest.raises(RowsRejected, match=re.escape(found)) as refusal:
        table.replace(edit(rows([0], level=2.0)), window=days(0), writer=writer)
    assert isinstance(refusal.value, DataRejected)
    assert (table.version(), table.session_ids()) == before


@pytest.mark.parametrize("name", ACCEPTED)
def test_equal_rows_in_another_dress_are_the_same_rows(
    table: Table, rows, days: Callable[..., Window], writer: Writer, name: str
):
    table.replace(rows([0]), window=days(0), writer=writer)
    again = table.replace(ACCEPTED[name](rows([0])), window=days(0), writer=writer)
    assert (again.changed, again.unchanged, again.bytes_written) == ((), 1, 0)


def test_nan_is_stored_as_null(table: Table, rows, days: Callable[..., Window], writer: Writer):
    table.replace(with_column("close", [math.nan, 1.0, None], pa.float64())(rows([0])), window=days(0), writer=writer)
    assert table.read()["close"].to_pylist() == [None, 1.0, None]


def test_rows_in_any_order_come_back_in_key_order(
    table: Table, schema: TableSchema, rows, days: Callable[..., Window], writer: Writer
):
    given = rows(range(0, 70, 3), symbols=12)
    shuffled = given.take(np.random.default_rng(7).permutation(given.num_rows))
    table.replace(shuffled, window=days(0, 99), writer=writer)
    ordered = given.take(pc.sort_indices(given, [("session", "ascending"), ("symbol", "ascending")]))
    assert table.read().equals(ordered)
    assert table.read().schema.equals(schema.arrow, check_metadata=True)


def test_a_window_runs_forward_and_has_no_zone(days: Callable[..., Window]):
    with pytest.raises(ValueError, match="runs forward"):
        days(3, 2)
    assert datetime(2024, 1, 2) in days(0, 1)
