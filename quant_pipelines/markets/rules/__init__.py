"""Trading rules as dated data: boards, price limits, lots, settlement and fees."""

from quant_pipelines.markets.rules.book import (
    Board,
    RuleBook,
    UnknownBoard,
    UnknownRules,
    load_rules,
    packaged_rules,
    read_rules,
)
from quant_pipelines.markets.rules.costs import Costs, Side, trading_costs
from quant_pipelines.markets.rules.limits import Limits, limit_prices, limit_ticks
from quant_pipelines.markets.rules.trading import SymbolRule, TradingRules

__all__ = [
    "Board",
    "Costs",
    "Limits",
    "RuleBook",
    "Side",
    "SymbolRule",
    "TradingRules",
    "UnknownBoard",
    "UnknownRules",
    "limit_prices",
    "limit_ticks",
    "load_rules",
    "packaged_rules",
    "read_rules",
    "trading_costs",
]
