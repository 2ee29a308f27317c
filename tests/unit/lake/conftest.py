"""A small table with one column of each kind, and lakes in fresh folders."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from quant_pipelines.clock import FixedClock
from quant_pipelines.lake import Lake, Table, Window, Writer
from quant_pipelines.lake.schemas import Column, TableSchema

FIRST = datetime(2024, 1, 1)
MOMENT = datetime(2024, 6, 1, 12, tzinfo=UTC)

Rows = Callable[..., pa.Table]


@pytest.fixture
def schema() -> TableSchema:
    return TableSchema(
        "bars",
        "A table for tests.",
        key=("session", "symbol"),
        columns=(
            Column("session", pa.timestamp("us"), "When.", nullable=False),
            Column("symbol", pa.string(), "What.", nullable=False),
            Column("close", pa.float64(), "How much."),
            Column("size", pa.int32(), "How many."),
            Column("weight", pa.float32(), "A number of half the width."),
            Column("open", pa.bool_(), "Whether."),
            Column("note", pa.string(), "Words."),
            Column("source", pa.string(), "Who said so.", identity=False),
        ),
    )


@pytest.fixture
def rows(schema: TableSchema) -> Rows:
    """Rows for some days, counted from the first; every cell follows from day, symbol and level."""

    def make(days: Any, *, level: float = 1.0, symbols: int = 3, source: str = "one") -> pa.Table:
        cells = [(day, symbol) for day in days for symbol in range(symbols)]
        return pa.table(
            {
                "session": [FIRST + timedelta(days=day) for day, _ in cells],
                "symbol": [f"S{symbol}" for _, symbol in cells],
                "close": [None if (day + symbol) % 7 == 0 else level * (day + symbol) for day, symbol in cells],
                "size": [day for day, _ in cells],
                "weight": [0.5 * symbol for _, symbol in cells],
                "open": [None if symbol == 1 else True for _, symbol in cells],
                "note": [f"day {day}" if symbol else None for day, symbol in cells],
                "source": [source for _ in cells],
            },
            schema=schema.arrow,
        )

    return make


@pytest.fixture
def days() -> Callable[..., Window]:
    """A window of days, counted from the first."""

    def make(first: int, last: int | None = None) -> Window:
        return Window(FIRST + timedelta(days=first), FIRST + timedelta(days=first if last is None else last))

    return make


@pytest.fixture
def writer() -> Writer:
    return Writer("a person", "run 1", "abc")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"), clock=FixedClock(MOMENT))


@pytest.fixture
def table(lake: Lake, schema: TableSchema) -> Table:
    return lake.table("demo", schema)
