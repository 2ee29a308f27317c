"""Benchmarks on the same rows and prices."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from quant_pipelines.evaluation.benchmarks import PORTFOLIOS, SCORES, Known, last_returns
from quant_pipelines.evaluation.failures import RowsDiffer
from quant_pipelines.evaluation.metrics import Judged
from quant_pipelines.evaluation.sums import holdout_measures
from quant_pipelines.evaluation.trading import Costs, Prices
from quant_pipelines.models import Task


def known(seed: int = 1, *, rows: int = 60, columns: int = 4) -> Known:
    chance = np.random.default_rng(seed)
    past = chance.standard_normal((200, columns))
    return Known(
        last_return=0.01 * chance.standard_normal(rows),
        columns=3 + 2 * chance.standard_normal((rows, columns)),
        past_columns=3 + 2 * past,
        past_value=0.01 * past @ np.arange(columns) + 0.001 + 0.01 * chance.standard_normal(200),
    )


@pytest.mark.parametrize("name", SCORES)
def test_every_benchmark_is_judged_like_a_model(name):
    rows = known()
    value = 0.02 * np.random.default_rng(0).standard_normal(60)
    forecasts = SCORES[name](rows)[:, None].astype(np.float32)
    judged = Judged(
        task=Task(),
        predictions=forecasts,
        target=value[:, None].astype(np.float32),
        value=value,
        sessions=np.arange(60) // 6,
    )
    found = holdout_measures(judged)
    assert found["mse"] < 10 * np.mean(value**2)
    assert found["accuracy"] is not None


def test_the_linear_reference_is_least_squares():
    rows = known()
    oracle = LinearRegression().fit(rows.past_columns, rows.past_value).predict(rows.columns)
    np.testing.assert_allclose(SCORES["linear"](rows), oracle, rtol=1e-9)


def test_missing_values_and_constant_columns_tell_the_linear_reference_nothing():
    rows = known()
    columns, past = rows.columns.copy(), rows.past_columns.copy()
    columns[0] = np.nan
    wide = replace(
        rows, columns=np.column_stack([columns, np.ones(60)]), past_columns=np.column_stack([past, np.full(200, 7.0)])
    )
    found = SCORES["linear"](wide)
    assert found[0] == pytest.approx(rows.past_value.mean())
    np.testing.assert_allclose(found[1:], SCORES["linear"](rows)[1:])


def test_holding_is_always_up_and_the_last_return_goes_on_or_back():
    rows = known()
    losing = replace(rows, past_value=-np.abs(rows.past_value))
    for each in (rows, losing):
        held = SCORES["buy_and_hold"](each)
        assert (held.astype(np.float32) > 0).all()
        assert np.ptp(held) == 0
    gone = replace(rows, last_return=np.where(np.arange(60) == 3, np.nan, rows.last_return))
    assert SCORES["momentum"](gone)[3] == 0
    np.testing.assert_array_equal(SCORES["momentum"](gone), -SCORES["reversal"](gone))


def test_rows_that_do_not_fit_are_refused():
    with pytest.raises(RowsDiffer, match="do not fit together"):
        replace(known(), past_columns=known().past_columns[:, :2])
    with pytest.raises(RowsDiffer, match="do not fit together"):
        replace(known(), past_columns=np.empty((0, 4)), past_value=np.empty(0))
    with pytest.raises(RowsDiffer, match="not known"):
        replace(known(), past_value=np.full(200, np.nan))


def prices(sessions: int = 30, names: int = 6) -> Prices:
    chance = np.random.default_rng(2)
    steps = 10 * np.exp(np.cumsum(0.02 * chance.standard_normal((2 * sessions, names)), axis=0))
    there = np.ones((sessions, names), bool)
    return Prices(open=steps[::2], close=steps[1::2], buyable=there, sellable=there)


def test_holding_the_universe_earns_what_its_names_earn_together():
    market = prices()
    found = PORTFOLIOS["buy_and_hold"](market, Costs(buy=0.0, sell=0.0), 0.2)
    wealth = (market.close[-1] / market.open[1]).mean()
    assert np.prod(1 + found.returns) == pytest.approx(wealth)
    assert found.turnover.tolist()[1:] == [0.0] * 28
    assert found.wanted.sum() == 6


def test_portfolios_pay_for_what_they_trade():
    market = prices()
    for name, portfolio in PORTFOLIOS.items():
        dear, free = (portfolio(market, Costs(buy=cost, sell=cost), 0.2) for cost in (0.001, 0.0))
        assert np.prod(1 + dear.returns) < np.prod(1 + free.returns), name


def test_the_last_return_needs_both_closes():
    close = np.array([[1.0, 1.0], [2.0, np.nan], [1.0, 3.0]])
    np.testing.assert_allclose(last_returns(close), [[np.nan, np.nan], [1.0, np.nan], [-0.5, np.nan]])
