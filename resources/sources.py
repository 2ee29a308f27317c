"""The sources of bars as a resource."""

from functools import lru_cache

import dagster as dg

from quant_pipelines.clock import SystemClock
from quant_pipelines.markets import Market
from quant_pipelines.sources import Answering, BarSource, open_fallback, open_source, who_answers


class SourcesResource(dg.ConfigurableResource):
    """Finds the source that answers for a market: its own, or the fallback where that one cannot."""

    def answering(self, market: Market) -> Answering:
        return who_answers(*_opened(market))


@lru_cache(maxsize=32)
def _opened(market: Market) -> tuple[BarSource, BarSource | None]:
    """Opened once per market and process: sources keep what they have parsed."""
    clock = SystemClock()
    return open_source(market, clock), open_fallback(market, clock)
