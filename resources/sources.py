"""The sources of bars as a resource."""

from functools import lru_cache

import dagster as dg

from quant_pipelines.clock import SystemClock
from quant_pipelines.markets import Market
from quant_pipelines.sources import BarSource, open_source


class SourcesResource(dg.ConfigurableResource):
    """Opens the source, and where one is configured the fallback, of a market."""

    def source(self, market: Market) -> BarSource:
        return _opened(market)

    def fallback(self, market: Market) -> BarSource | None:
        if market.fallback is None:
            return None
        return _opened(market.model_copy(update={"source": market.fallback, "fallback": None}))


@lru_cache(maxsize=32)
def _opened(market: Market) -> BarSource:
    """One source per market and process: sources keep what they have parsed."""
    return open_source(market, SystemClock())
