"""From a market's entry to its source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quant_pipelines.clock import Clock
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.markets import FilesSource, Market, SyntheticSource, load_rules
from quant_pipelines.sources.protocol import BarSource

# Each takes the source's own entry, the market and the clock.
Builder = Callable[..., BarSource]


@dataclass(frozen=True, slots=True)
class Answering:
    """The source that answers for a market now, and why it is not the first one where it is the fallback."""

    source: BarSource
    degraded: str | None = None


def open_source(market: Market, clock: Clock) -> BarSource:
    """The source that the market's entry names."""
    return BUILDERS[market.source.kind](market.source, market, clock)


def open_fallback(market: Market, clock: Clock) -> BarSource | None:
    """The second source of the market's entry, where it names one."""
    if market.fallback is None:
        return None
    return BUILDERS[market.fallback.kind](market.fallback, market, clock)


def who_answers(first: BarSource, fallback: BarSource | None) -> Answering:
    """The first source, or the fallback where the first cannot even say how far it reaches (S2-70, S2-109).

    One of them answers everything: bars of one vendor with listings of another fit nowhere.
    """
    if fallback is None:
        return Answering(first)
    try:
        first.watermark()
    except QuantPipelinesError as error:
        return Answering(fallback, degraded=f"{first.name} failed: {error}")
    return Answering(first)


# Builders import their sources: a market of files need not load the synthetic one, nor the other way round.
def _synthetic(config: SyntheticSource, market: Market, clock: Clock) -> BarSource:
    from quant_pipelines.sources.synthetic import SyntheticBars

    return SyntheticBars(config, market.sessions_calendar, market.begins, clock, rules=load_rules(market.rules))


def _files(config: FilesSource, market: Market, clock: Clock) -> BarSource:  # noqa: ARG001  files do not grow with the clock
    from quant_pipelines.sources.files import FileBars

    return FileBars(config, market.sessions_calendar)


BUILDERS: Mapping[str, Builder] = {"synthetic": _synthetic, "files": _files}
