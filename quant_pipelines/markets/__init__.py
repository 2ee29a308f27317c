"""Markets: what markets.yaml says, who belongs to them and when, and the rules they trade under."""

from quant_pipelines.documents import BadDocument, Entry
from quant_pipelines.markets.loader import load_markets
from quant_pipelines.markets.market import FilesSource, Market, Quality, Source, SyntheticSource, Universe
from quant_pipelines.markets.rules import (
    Limits,
    RuleBook,
    Side,
    SymbolRule,
    TradingRules,
    UnknownBoard,
    UnknownRules,
    limit_prices,
    load_rules,
    trading_costs,
)
from quant_pipelines.markets.universe import BadUniverse, members, memberships, universe_symbols, unknown_symbols

__all__ = [
    "BadDocument",
    "BadUniverse",
    "Entry",
    "FilesSource",
    "Limits",
    "Market",
    "Quality",
    "RuleBook",
    "Side",
    "Source",
    "SymbolRule",
    "SyntheticSource",
    "TradingRules",
    "Universe",
    "UnknownBoard",
    "UnknownRules",
    "limit_prices",
    "load_markets",
    "load_rules",
    "members",
    "memberships",
    "trading_costs",
    "universe_symbols",
    "unknown_symbols",
]
