"""What trading by a model's scores would have brought on its holdout, after costs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.evaluation.benchmarks import PORTFOLIOS
from quant_pipelines.evaluation.bootstrap import Resampling
from quant_pipelines.evaluation.evidence import Estimate
from quant_pipelines.evaluation.luck import Record, deflated_sharpe, least_record, probabilistic_sharpe
from quant_pipelines.evaluation.money import money_measures
from quant_pipelines.evaluation.trading import Traded, long_short
from quant_pipelines.holdout.exchange import Exchange, Matrix, Quotes

# The fifth of the names at either end.
QUANTILE = 0.2


# Whether these could be had is a question of its own; what else is undefined (no loss, so no ratio to it) is left out.
_ALWAYS = ("sharpe", "max_drawdown")


@dataclass(frozen=True, eq=False, kw_only=True)
class Trades:
    """An account session by session, and its measures."""

    sessions: NDArray[np.datetime64]
    account: Traded
    measures: dict[str, Estimate]


def traded_on(exchange: Exchange, quotes: Quotes, scores: Matrix, resampling: Resampling) -> Trades:
    """Long the best fifth, short the worst, from each signal's next open on; scores are laid out as the quotes are."""
    last = quotes.sessions[-1].item()
    account = long_short(scores, quotes.prices, exchange.costs(last), quantile=QUANTILE)
    return _measured(exchange, quotes, account, resampling)


def benchmarks_on(exchange: Exchange, quotes: Quotes, resampling: Resampling) -> dict[str, Trades]:
    """What would have been earned without a thought: everybody, last winners, last losers held (S4-09)."""
    costs = exchange.costs(quotes.sessions[-1].item())
    found = {name: make(quotes.prices, costs, QUANTILE) for name, make in PORTFOLIOS.items()}
    return {name: _measured(exchange, quotes, account, resampling) for name, account in found.items()}


def measures_of(trades: Trades, *, trials: int = 1) -> dict[str, Estimate]:
    """As they stand in the evidence: returns, turnover, orders that could not be filled, and how much of it is luck."""
    account = trades.account
    return {
        **{name: each for name, each in trades.measures.items() if name in _ALWAYS or each.value is not None},
        "turnover": Estimate(value=float(account.turnover.mean())),
        "reject_rate": Estimate(value=account.execution_reject_rate),
        **{name: Estimate(value=value) for name, value in _luck(account, trials).items() if value is not None},
    }


def _luck(account: Traded, trials: int) -> dict[str, float | None]:
    """The chance that the true Sharpe ratio is above 0, and above the best of as many worthless trainings.

    What those would show varies as estimates of 0 over so many sessions do.
    """
    record = Record.of(account.returns)
    if record is None:
        return {}
    variance = 1.0 / (record.returns - 1)
    return {
        "probabilistic_sharpe": probabilistic_sharpe(record),
        "deflated_sharpe": deflated_sharpe(record, trials=max(trials, 1), variance=variance),
        "least_record_sessions": least_record(record),
    }


def _measured(exchange: Exchange, quotes: Quotes, account: Traded, resampling: Resampling) -> Trades:
    periods = exchange.sessions_a_year(quotes.sessions[-1].item())
    measures = money_measures(account.returns, periods=periods, resampling=resampling)
    return Trades(sessions=quotes.sessions[1:], account=account, measures=measures)
