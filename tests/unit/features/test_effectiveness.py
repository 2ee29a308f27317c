"""The factor report's numbers against alphalens, scipy and statsmodels, and what they must say of known factors."""

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from quant_pipelines.features.effectiveness import measures
from quant_pipelines.features.effectiveness.daily import Daily
from quant_pipelines.features.effectiveness.report import redundancy_clusters, similarities, summary
from quant_pipelines.features.effectiveness.settings import ReportRefused, ReportSettings

SESSIONS, NAMES, QUANTILES = 60, 37, 5
DAYS = pd.bdate_range("2024-01-01", periods=SESSIONS)


def noise(seed, gaps=0.1):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(SESSIONS, NAMES))
    values[rng.random(values.shape) < gaps] = np.nan
    return values


VALUES, RETURNS = noise(1), 0.01 * noise(2)


def long(matrix):
    frame = pd.DataFrame(
        matrix, index=pd.Index(DAYS, name="date"), columns=[f"N{number:02d}" for number in range(NAMES)]
    )
    return frame.stack().dropna().rename_axis(["date", "asset"])


@pytest.fixture(scope="module")
def alphalens():
    """alphalens' clean table: names with a factor and a return, quantiles by session."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from alphalens import performance, utils

        both = ~(np.isnan(VALUES) | np.isnan(RETURNS))
        table = pd.DataFrame(
            {"1D": long(np.where(both, RETURNS, np.nan)), "factor": long(np.where(both, VALUES, np.nan))}
        )
        table["factor_quantile"] = utils.quantize_factor(table, quantiles=QUANTILES)
        yield performance, table


def test_rank_ic_is_that_of_alphalens(alphalens):
    performance, table = alphalens
    expected = performance.factor_information_coefficient(table)["1D"]
    np.testing.assert_allclose(measures.rank_ic(VALUES, RETURNS, fewest_names=2), expected, rtol=1e-12)


def test_quantiles_and_their_returns_are_those_of_alphalens(alphalens):
    performance, table = alphalens
    both = np.where(np.isnan(RETURNS), np.nan, VALUES)
    labels = measures.quantile_labels(both, QUANTILES)
    np.testing.assert_array_equal(long(np.where(labels == 0, np.nan, labels)), table["factor_quantile"])
    means, errors = performance.mean_return_by_quantile(table)
    ours = measures.quantile_summary(measures.quantile_excess(labels, RETURNS, QUANTILES))
    np.testing.assert_allclose(ours.means, means["1D"], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(ours.errors, errors["1D"], rtol=1e-9)
    assert ours.spread == pytest.approx(ours.means[-1] - ours.means[0])


def test_turnover_and_rank_autocorrelation_are_those_of_alphalens(alphalens):
    performance, table = alphalens
    both = np.where(np.isnan(RETURNS), np.nan, VALUES)
    labels = measures.quantile_labels(both, QUANTILES)
    for quantile in range(1, QUANTILES + 1):
        expected = performance.quantile_turnover(table["factor_quantile"], quantile)
        np.testing.assert_allclose(measures.turnover(labels, quantile), expected)
    expected = performance.factor_rank_autocorrelation(table)
    np.testing.assert_allclose(measures.rank_autocorrelation(both), expected, rtol=1e-9)


matrices = arrays.arrays(np.float64, (3, 12), elements=st.sampled_from([np.nan, -1.0, 0.0, 0.5, 2.0, 7.0]))


@settings(max_examples=100, deadline=None)
@given(left=matrices, right=matrices)
def test_correlations_are_those_of_scipy(left, right):
    pearson, spearman = measures.ic(left, right, fewest_names=3), measures.rank_ic(left, right, fewest_names=3)
    for row in range(3):
        both = ~(np.isnan(left[row]) | np.isnan(right[row]))
        x, y = left[row, both], right[row, both]
        if both.sum() < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
            assert np.isnan(pearson[row])
            assert np.isnan(spearman[row])
        else:
            assert pearson[row] == pytest.approx(stats.pearsonr(x, y)[0], abs=1e-12)
            assert spearman[row] == pytest.approx(stats.spearmanr(x, y)[0], abs=1e-12)


@pytest.mark.parametrize("lags", [0, 1, 4, 19])
def test_the_error_of_the_mean_is_that_of_statsmodels(lags):
    series = np.cumsum(np.random.default_rng(5).normal(size=200)) / 10
    fit = sm.OLS(series, np.ones(200)).fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": False})
    assert measures.newey_west_error(series, lags) == pytest.approx(fit.bse[0], rel=1e-9)


def test_dropped_sessions_are_counted():
    values = VALUES.copy()
    values[3] = 1.0
    values[4, 5:] = np.nan
    found = measures.summed_up(measures.ic(values, RETURNS, fewest_names=10), lags=0)
    assert (found.sessions, found.dropped) == (SESSIONS - 2, 2)
    assert found.ratio == pytest.approx(found.mean / found.std)


def report(values, seed=3):
    returns = {horizon: 0.01 * noise(seed + horizon, gaps=0) for horizon in (1, 2, 5)}
    returns[1] = 0.01 * values + returns[1]
    return summarised(values, returns)


def summarised(values, returns):
    daily = Daily.of([values], returns, np.ones(values.shape, bool), ReportSettings())
    return summary(daily, ReportSettings())


def test_a_factor_that_tells_tomorrow_is_seen_to_and_its_decay_shows_it():
    row = report(noise(9, gaps=0.02))
    assert row.ic.mean > 0.6
    assert row.ic.t > 10
    assert row.decay[1] > 0.6
    assert abs(row.decay[5]) < 0.1
    assert np.all(np.diff(row.quantiles.means[0]) > 0)
    assert row.quantiles.spread > 5 * row.quantiles.spread_error
    assert 0.7 < row.turnover < 0.9
    assert row.coverage == pytest.approx(0.98, abs=0.01)


def test_noise_is_seen_to_be_noise():
    """The control of the test above."""
    returns = {1: 0.01 * noise(21, gaps=0)}
    row = summarised(noise(20), returns)
    assert abs(row.ic.t) < 3
    assert abs(row.rank_ic.mean) < 0.1


def test_a_factor_without_any_value_has_a_row_of_nan_and_no_warning():
    empty = np.full((SESSIONS, NAMES), np.nan)
    row = summarised(empty, {1: RETURNS})
    assert np.isnan(row.ic.mean)
    assert np.isnan(row.quantiles.means).all()
    assert row.ic.dropped == SESSIONS
    assert row.coverage == 0


def test_missing_returns_and_settings_without_meaning_are_refused():
    with pytest.raises(ReportRefused, match="over 5 sessions are missing"):
        Daily.of([VALUES], {1: RETURNS}, np.ones(VALUES.shape, bool), ReportSettings(horizon_sessions=5))
    with pytest.raises(ReportRefused, match="no meaning"):
        ReportSettings(quantiles=1)
    with pytest.raises(ReportRefused, match="not among"):
        ReportSettings(horizon_sessions=3)


def test_factors_that_say_the_same_are_found_together_and_others_are_not():
    other = noise(31)
    factors = {
        "a": VALUES,
        "b": np.exp(VALUES),
        "c": -VALUES,
        "d": other,
        "e": other + 0.01 * noise(32),
        "f": noise(33),
    }
    alike = measures.nan_mean(similarities(factors.values()), axis=0)
    clusters = redundancy_clusters(tuple(factors), alike, redundant_from=0.9)
    assert clusters == (("a", "b", "c"), ("d", "e"))
    assert alike[0, 1] == pytest.approx(1)
    assert alike[0, 2] == pytest.approx(-1)


def test_months_and_groups_divide_the_sessions_and_the_names():
    series = measures.rank_ic(VALUES, RETURNS, fewest_names=2)
    months = measures.by_month(series, DAYS.to_numpy().astype("datetime64[us]"))
    assert list(months) == ["2024-01", "2024-02", "2024-03"]
    assert months["2024-01"] == pytest.approx(series[DAYS.month == 1].mean())
    groups = np.array(["bank", "steel"])[np.arange(NAMES) % 2]
    within = measures.by_group(VALUES, RETURNS, groups, fewest_names=2)
    np.testing.assert_array_equal(within["steel"], measures.rank_ic(VALUES[:, 1::2], RETURNS[:, 1::2], fewest_names=2))


def test_a_row_of_the_panel_becomes_a_matrix_of_sessions_and_symbols(market):
    panel = market(3, [4, 2], flat=False)
    matrix, sessions = measures.matrix_of(panel, np.arange(6.0))
    assert sessions.size == 4
    np.testing.assert_array_equal(matrix, [[0, np.nan], [1, np.nan], [2, 4], [3, 5]])


def test_similarity_is_the_correlation_of_ranks_over_the_names_that_both_have():
    alike = similarities([VALUES, RETURNS])
    expected = measures.ic(measures.ranks(VALUES), measures.ranks(RETURNS), fewest_names=3)
    np.testing.assert_allclose(alike[:, 0, 1], expected, rtol=1e-9)
    np.testing.assert_array_equal(alike, alike.transpose(0, 2, 1))
    constant = np.where(np.isnan(VALUES), np.nan, 2.0)
    assert np.isnan(similarities([VALUES, constant])[:, 0, 1]).all()


def test_a_span_knows_no_return_that_closes_after_it():
    returns = {horizon: 0.01 * noise(40 + horizon, gaps=0) for horizon in (1, 5)}
    listed = np.ones(VALUES.shape, bool)
    daily = Daily.of([VALUES], returns, listed, ReportSettings())
    later = {h: np.where(np.arange(SESSIONS)[:, None] + h <= 39, each, 9.0 * noise(50)) for h, each in returns.items()}
    changed = Daily.of([VALUES], later, listed, ReportSettings())
    for known in (daily, changed):
        assert known.between(10, 40, horizon=1).rank_ic[5].shape == (1, 25)
    one, other = (summary(each.between(10, 40, horizon=1), ReportSettings()) for each in (daily, changed))
    assert one.decay == other.decay
    np.testing.assert_array_equal(one.quantiles.means, other.quantiles.means)
    assert one.ic.t == other.ic.t


def test_a_missing_session_keeps_its_place_in_the_error_of_the_mean():
    series = np.array([1.0, np.nan, 2.0, 0.5, np.nan, 3.0])
    deviation = np.nan_to_num(series - np.nanmean(series))
    total = sum(d * d for d in deviation) + 2 * 0.5 * sum(deviation[i] * deviation[i + 1] for i in range(5))
    assert measures.newey_west_error(series, 1) == pytest.approx(np.sqrt(total) / 4)
