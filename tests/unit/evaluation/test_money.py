"""Money measures against empyrical, and returns that no prices made."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.evaluation.bootstrap import Resampling
from quant_pipelines.evaluation.failures import MadeUpReturns, RowsDiffer
from quant_pipelines.evaluation.money import MONEY, max_drawdown, money_measures, require_from_prices, sharpe

RESAMPLING = Resampling(seed=3, span_sessions=1)
SERIES = st.integers(0, 10**6).map(lambda seed: 0.001 + 0.01 * np.random.default_rng(seed).standard_normal(120))


@pytest.fixture(scope="module")
def oracles():
    import empyrical

    return {
        "annual_return": lambda returns: empyrical.annual_return(returns, annualization=243),
        "volatility": lambda returns: empyrical.annual_volatility(returns, annualization=243),
        "sharpe": lambda returns: empyrical.sharpe_ratio(returns, annualization=243),
        "sortino": lambda returns: empyrical.sortino_ratio(returns, annualization=243),
        "max_drawdown": empyrical.max_drawdown,
        "calmar": lambda returns: empyrical.calmar_ratio(returns, annualization=243),
        "hit_rate": lambda returns: np.mean(returns > 0),
    }


@pytest.mark.parametrize("name", MONEY)
@given(returns=SERIES)
def test_measures_are_those_of_empyrical(oracles, name, returns):
    assert float(MONEY[name](returns, 243)) == pytest.approx(oracles[name](returns), rel=1e-9)


def test_a_loss_on_the_first_day_is_a_drawdown():
    assert max_drawdown(np.array([-0.1, 0.05, 0.2])) == pytest.approx(-0.1)
    assert max_drawdown(np.array([0.1, 0.05])) == 0


@given(returns=SERIES)
def test_many_paths_are_measured_as_one_by_one(returns):
    paths = np.stack([returns, returns[::-1], np.roll(returns, 7)])
    for measure in MONEY.values():
        np.testing.assert_allclose(measure(paths, 365), [measure(path, 365) for path in paths])


def test_the_year_is_as_long_as_the_market_says():
    returns = 0.01 * np.random.default_rng(1).standard_normal(100)
    found = [sharpe(returns, periods) for periods in (243, 252, 365)]
    assert found[2] / found[0] == pytest.approx(np.sqrt(365 / 243))
    assert found[1] / found[0] == pytest.approx(np.sqrt(252 / 243))


def test_measures_come_with_intervals():
    returns = 0.001 + 0.01 * np.random.default_rng(1).standard_normal(250)
    found = money_measures(returns, periods=252, resampling=RESAMPLING)
    assert set(found) == set(MONEY)
    assert found["sharpe"].low < found["sharpe"].value < found["sharpe"].high
    assert -1 < found["max_drawdown"].low < found["max_drawdown"].high < 0
    # A year says little: the textbook's standard error of an annual Sharpe ratio is about 1.
    assert found["sharpe"].high - found["sharpe"].low == pytest.approx(2 * 1.65, rel=0.35)
    assert found == money_measures(returns, periods=252, resampling=RESAMPLING)


def test_the_interval_of_a_sharpe_ratio_holds_the_true_one_as_often_as_it_says():
    chance, held = np.random.default_rng(5), []
    for seed in range(200):
        returns = 0.001 + 0.01 * chance.standard_normal(66)
        draws = Resampling(seed=seed, span_sessions=1, resamples=200)
        found = money_measures(returns, periods=252, resampling=draws)["sharpe"]
        held.append(found.low <= 0.1 * np.sqrt(252) <= found.high)
    assert np.mean(held) == pytest.approx(0.9, abs=0.06)


def test_short_and_still_series_have_no_number_instead_of_a_wrong_one():
    found = money_measures(np.array([0.01, -0.02]), periods=252, resampling=RESAMPLING)
    assert found["sharpe"].value is not None
    assert (found["sharpe"].low, found["max_drawdown"].low) == (None, None)
    still = money_measures(np.zeros(30), periods=252, resampling=RESAMPLING)
    assert (still["sharpe"].value, still["calmar"].value, still["hit_rate"].value) == (None, None, None)
    assert money_measures(np.array([0.01]), periods=252, resampling=RESAMPLING)["sharpe"].value is None


@given(
    calls=st.lists(st.booleans(), min_size=2, max_size=60),
    size=st.floats(0.0001, 0.5),
    pauses=st.integers(0, 5),
)
def test_a_fixed_return_per_call_is_refused(calls, size, pauses):
    """S0-19."""
    returns = np.append(np.where(calls, size, -size), np.zeros(pauses))
    with pytest.raises(MadeUpReturns, match="not a fixed one per call"):
        require_from_prices(returns)


def test_a_fixed_return_less_a_fixed_cost_is_refused_too():
    with pytest.raises(MadeUpReturns, match="2 sizes"):
        money_measures(np.array([0.0095, -0.0105, 0.0095, 0.0095]), periods=252, resampling=RESAMPLING)


@given(returns=SERIES)
def test_returns_of_prices_pass(returns):
    require_from_prices(returns)
    require_from_prices(returns[:2])


def test_unknown_returns_are_refused():
    with pytest.raises(RowsDiffer, match="1 of 2 returns"):
        require_from_prices(np.array([0.1, np.nan]))
    with pytest.raises(RowsDiffer, match="0 of 0"):
        require_from_prices(np.empty(0))
