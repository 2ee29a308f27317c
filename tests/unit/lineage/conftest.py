"""Lineage on each database."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from quant_pipelines.clock import FixedClock
from quant_pipelines.digest import digest_json
from quant_pipelines.journal import sqlite_url
from quant_pipelines.lineage import Contents, Lineage

FIRST = datetime(2023, 12, 28)
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def new_lineage(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Lineage]:
    """A new, empty lineage with every call."""
    made: list[str] = []

    def make() -> Lineage:
        made.append("one more")
        if request.param == "sqlite":
            return Lineage(sqlite_url(tmp_path / f"{len(made)}.db"), clock=FixedClock(NOW))
        url = request.getfixturevalue("new_database")()
        return Lineage(url.replace("postgresql://", "postgresql+psycopg2://"), clock=FixedClock(NOW))

    return make


@pytest.fixture
def lineage(new_lineage) -> Lineage:
    return new_lineage()


def held(table: str, days, generation: int = 0, market: str = "demo") -> Contents:
    """What a table holds in some days, counted from the first one; another generation is another content."""
    ids = {FIRST + timedelta(days=day): digest_json([market, table, day, generation]) for day in days}
    return Contents(market=market, table=table, ids=ids)


@pytest.fixture
def contents() -> Callable[..., Contents]:
    return held


@pytest.fixture
def day() -> Callable[[int], datetime]:
    return lambda number: FIRST + timedelta(days=number)
