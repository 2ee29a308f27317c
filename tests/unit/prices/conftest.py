"""A lake of its own for each test, and the road from rows to published prices."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from quant_pipelines.calendars import parse_session
from quant_pipelines.lake import Lake, Window, no_fence
from quant_pipelines.markets import Market
from quant_pipelines.prices import Published
from tests.bars import CLOCK, WRITER, RowBars, collector, market, publisher

Publish = Callable[..., Published]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path), clock=CLOCK)


@pytest.fixture
def publish(lake: Lake) -> Publish:
    """Collect and publish rows for a range of sessions."""

    def run(
        rows: Sequence[dict[str, Any]], first: str, last: str, *, entry: Market | None = None, raw: bool = True
    ) -> Published:
        entry = entry or market()
        source = RowBars(rows, prices_are_raw=raw)
        window = Window(parse_session(first), parse_session(last))
        collector(lake, source, entry).collect(window, writer=WRITER, fence=no_fence)
        return publisher(lake, source, entry).publish(window, writer=WRITER, fence=no_fence)

    return run
