"""Portfolios of scores, against an account that counts shares one by one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipelines.evaluation.failures import BadEvaluation, RowsDiffer
from quant_pipelines.evaluation.trading import Book, Costs, Prices, long_only, long_short, traded, weights

COSTS = Costs(buy=0.001, sell=0.002)
FREE = Costs(buy=0.0, sell=0.0)


def market(seed: int, sessions: int = 15, names: int = 8, *, gaps: bool = True) -> tuple[np.ndarray, Prices]:
    """Scores and prices with suspensions, and names that cannot be bought or sold."""
    chance = np.random.default_rng(seed)
    steps = np.exp(np.cumsum(0.02 * chance.standard_normal((2 * sessions, names)), axis=0))
    opened, closed = 10 * steps[::2].copy(), 10 * steps[1::2].copy()
    scores = chance.standard_normal((sessions, names))
    buyable, sellable = np.ones((2, sessions, names), bool)
    if gaps:
        away = chance.random((sessions, names)) < 0.15
        opened[away] = closed[away] = np.nan
        buyable, sellable = chance.random((2, sessions, names)) > 0.1
        scores[chance.random((sessions, names)) < 0.1] = np.nan
        scores[sessions // 2] = np.nan
    return scores, Prices(open=opened, close=closed, buyable=buyable, sellable=sellable)


def traded_slowly(targets: np.ndarray, prices: Prices, costs: Costs) -> list[tuple[float, float, int, int]]:
    sessions, names = targets.shape
    cash, shares, last = 1.0, [0.0] * names, list(prices.close[0])
    found = []
    for at in range(1, sessions):
        before = cash + sum(share * price for share, price in zip(shares, last, strict=True) if share)
        known = [name for name in range(names) if not np.isnan(prices.open[at, name])]
        for name in known:
            last[name] = prices.open[at, name]
        equity = cash + sum(share * price for share, price in zip(shares, last, strict=True) if share)
        cost = volume = wished = 0.0
        wanted = rejected = 0
        orders = {}
        for name in range(names):
            held = shares[name] * last[name] if shares[name] else 0.0
            order = 0.0 if np.isnan(targets[at - 1, name]) else targets[at - 1, name] * equity - held
            wished += abs(held + order)
            if abs(order) <= 1e-6 * equity:
                continue
            wanted += 1
            if (prices.buyable if order > 0 else prices.sellable)[at, name] and name in known:
                orders[name] = held, order
            else:
                rejected += 1
        at_stake = sum(abs(share * price) for share, price in zip(shares, last, strict=True) if share)
        more = {name: max(abs(held + order) - abs(held), 0.0) for name, (held, order) in orders.items()}
        closed = sum(max(abs(held) - abs(held + order), 0.0) for held, order in orders.values())
        room = wished - at_stake + closed
        for name, (held, wish) in orders.items():
            order = wish
            if more[name] and sum(more.values()) > room:
                size = abs(held) + more[name] * max(room / sum(more.values()), 0.0)
                order = (size if held + wish > 0 else -size) - held
            shares[name] += order / last[name]
            cash -= order
            volume += abs(order)
            cost += costs.buy * order if order > 0 else -costs.sell * order
        for name in range(names):
            if not np.isnan(prices.close[at, name]):
                last[name] = prices.close[at, name]
        cash -= cost
        after = cash + sum(share * price for share, price in zip(shares, last, strict=True) if share)
        found.append((after / before - 1, volume / 2 / equity, wanted, rejected))
    return found


@pytest.mark.parametrize("trade", [long_short, long_only])
@pytest.mark.parametrize("seed", range(5))
def test_accounts_agree_with_counted_shares(trade, seed):
    scores, prices = market(seed)
    found = trade(scores, prices, COSTS, quantile=0.25)
    targets = weights(scores, Book(quantile=0.25, short=trade is long_short))
    expected = np.array(traded_slowly(targets, prices, COSTS))
    np.testing.assert_allclose(found.returns, expected[:, 0], atol=1e-12)
    np.testing.assert_allclose(found.turnover, expected[:, 1], atol=1e-12)
    np.testing.assert_array_equal(found.wanted, expected[:, 2])
    np.testing.assert_array_equal(found.rejected, expected[:, 3])
    assert found.execution_reject_rate == pytest.approx(expected[:, 3].sum() / expected[:, 2].sum())


@given(seed=st.integers(0, 10**6), kept=st.integers(2, 14))
@settings(deadline=None)
def test_the_past_does_not_change_when_the_future_arrives(seed, kept):
    scores, prices = market(seed)
    cut = Prices(
        **{name: getattr(prices, name)[:kept] for name in ("open", "close", "buyable", "sellable")},
    )
    whole, part = long_short(scores, prices, COSTS, quantile=0.3), long_short(scores[:kept], cut, COSTS, quantile=0.3)
    for name in ("returns", "gross", "turnover", "wanted", "rejected"):
        np.testing.assert_array_equal(getattr(whole, name)[: kept - 1], getattr(part, name))


def test_a_score_is_traded_at_the_next_open_and_not_before():
    prices = Prices(
        open=np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]]),
        close=np.array([[1.0, 1.0], [2.2, 1.0], [3.0, 1.0]]),
        buyable=np.ones((3, 2), bool),
        sellable=np.ones((3, 2), bool),
    )
    found = long_only(np.array([[1.0, 0.0]] * 3), prices, FREE, quantile=0.5)
    # Neither the doubling before the first open nor anything of the last score.
    np.testing.assert_allclose(found.returns, [0.1, 3.0 / 2.2 - 1])


@given(seed=st.integers(0, 10**6))
@settings(deadline=None)
def test_costs_cost_what_is_traded(seed):
    scores, prices = market(seed, gaps=False)
    found = long_only(scores, prices, Costs(buy=0.001, sell=0.001), quantile=0.25)
    opened = np.divide(found.gross - found.returns, 0.002 * found.turnover)
    assert (found.returns < found.gross).all()
    # Costs are of the equity at the open, returns of the one at the close before.
    assert ((opened > 0.8) & (opened < 1.25)).all()
    free = long_only(scores, prices, FREE, quantile=0.25)
    np.testing.assert_array_equal(free.returns, free.gross)


@given(scores=st.lists(st.one_of(st.integers(-3, 3), st.just(None)), min_size=2, max_size=12))
def test_every_side_weighs_the_same_and_ties_share(scores):
    row = np.array([[np.nan if each is None else float(each) for each in scores]])
    long, both = (weights(row, Book(quantile=0.3, short=short))[0] for short in (False, True))
    names = int(np.isfinite(row).sum())
    if not names:
        assert np.isnan(long).all()
        assert np.isnan(both).all()
        return
    assert long.sum() == pytest.approx(1)
    assert long.min() >= 0
    assert both.sum() == pytest.approx(0)
    assert np.abs(both).sum() <= 1 + 1e-12
    for value in np.unique(row[np.isfinite(row)]):
        assert np.ptp(long[row[0] == value]) == 0
    assert not long[np.isnan(row[0])].any()


def test_constant_scores_prefer_nobody():
    scores, prices = market(1)
    found = long_short(np.ones_like(scores), prices, COSTS, quantile=0.2)
    assert not found.returns.any()
    assert found.execution_reject_rate is None


def test_a_suspended_name_keeps_its_price_and_then_jumps():
    opened = np.array([[1.0], [1.0], [np.nan], [0.5]])
    prices = Prices(open=opened, close=opened, buyable=np.ones((4, 1), bool), sellable=np.ones((4, 1), bool))
    found = long_only(np.array([[1.0], [np.nan], [np.nan], [np.nan]]), prices, FREE, quantile=0.5)
    np.testing.assert_allclose(found.returns, [0.0, 0.0, -0.5])


def test_what_cannot_be_bought_is_not_held_and_counts():
    scores, prices = market(1, gaps=False)
    found = long_only(scores, replace(prices, buyable=np.zeros_like(prices.buyable)), COSTS, quantile=0.2)
    assert not found.returns.any()
    assert found.execution_reject_rate == 1.0


def test_what_cannot_be_sold_stays():
    _, prices = market(1, sessions=4, gaps=False)
    stuck = replace(prices, sellable=np.zeros_like(prices.sellable))
    scores = np.zeros((4, 8))
    scores[0, 0], scores[1:, 1] = 1.0, 1.0
    found = long_only(scores, stuck, FREE, quantile=0.1)
    assert found.rejected.tolist()[:2] == [0, 1]
    # Its money is tied, so the other name is not bought on credit.
    np.testing.assert_allclose(found.returns[1:], stuck.close[2:, 0] / stuck.close[1:3, 0] - 1)


def test_a_ruined_account_stays_ruined():
    opened = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 9.0], [1.0, 1.0]])
    prices = Prices(open=opened, close=opened, buyable=np.ones((4, 2), bool), sellable=np.ones((4, 2), bool))
    found = long_short(np.array([[1.0, 0.0]] * 4), prices, FREE, quantile=0.5)
    np.testing.assert_array_equal(found.returns, [0.0, -1.0, 0.0])


def test_prices_and_settings_that_mean_nothing_are_refused():
    scores, prices = market(1)
    with pytest.raises(RowsDiffer, match="Give sessions x symbols"):
        replace(prices, open=prices.open[1:])
    with pytest.raises(RowsDiffer, match="open prices of 0"):
        replace(prices, open=np.zeros_like(prices.open))
    with pytest.raises(RowsDiffer, match="one row per session"):
        traded(scores[1:], prices, COSTS)
    with pytest.raises(BadEvaluation, match=r"0\.001 is 0\.1 percent"):
        Costs(buy=5.0, sell=0.0)
    with pytest.raises(BadEvaluation, match=r"up to 0\.5"):
        long_only(scores, prices, COSTS, quantile=0.7)
