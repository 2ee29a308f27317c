"""What every command needs: settings, markets, the lake."""

from pathlib import Path

from rich.console import Console

from quant_pipelines.clock import SystemClock
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.lake import Lake
from quant_pipelines.markets import Market, load_markets
from quant_pipelines.settings import Settings

console = Console(highlight=False, soft_wrap=True)


class UnknownMarket(OperatorActionRequired):
    """A market name that markets.yaml does not have."""

    code = "QP105"


def all_markets(settings: Settings) -> dict[str, Market]:
    return load_markets(settings.markets_path, liquid_symbols=settings.liquid_symbols)


def market_named(settings: Settings, name: str) -> Market:
    known = all_markets(settings)
    if name not in known:
        raise UnknownMarket(f"{settings.markets_path} has no market {name!r}. It has: {', '.join(known)}.")
    return known[name]


def open_lake(settings: Settings) -> Lake:
    if not settings.lake_root.startswith("s3://"):
        Path(settings.lake_root).mkdir(parents=True, exist_ok=True)
    return Lake(settings.lake_root, clock=SystemClock(), storage_options=settings.lake_options)
