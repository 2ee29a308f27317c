"""From a market's entry to its source."""

from collections.abc import Callable, Mapping

from quant_pipelines.clock import Clock
from quant_pipelines.markets import FilesSource, Market, SyntheticSource, load_rules
from quant_pipelines.sources.protocol import BarSource

# Each takes the source's own entry, the market and the clock.
Builder = Callable[..., BarSource]


def open_source(market: Market, clock: Clock) -> BarSource:
    """The source that the market's entry names."""
    return BUILDERS[market.source.kind](market.source, market, clock)


# Builders import their sources: a market of files need not load the synthetic one, nor the other way round.
def _synthetic(config: SyntheticSource, market: Market, clock: Clock) -> BarSource:
    from quant_pipelines.sources.synthetic import SyntheticBars

    return SyntheticBars(config, market.sessions_calendar, market.begins, clock, rules=load_rules(market.rules))


def _files(config: FilesSource, market: Market, clock: Clock) -> BarSource:  # noqa: ARG001  files do not grow with the clock
    from quant_pipelines.sources.files import FileBars

    return FileBars(config, market.sessions_calendar)


BUILDERS: Mapping[str, Builder] = {"synthetic": _synthetic, "files": _files}
