"""Every rolling kernel against its slow definition in long double."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from quant_pipelines.kernels import definitions, rolling
from quant_pipelines.kernels.definitions import rolling_slowly

ONE_SERIES = {
    rolling.rolling_sum: definitions.total,
    rolling.rolling_mean: definitions.mean,
    rolling.rolling_var: definitions.var,
    rolling.rolling_std: definitions.std,
    rolling.rolling_mad: definitions.mad,
    rolling.rolling_max: definitions.highest,
    rolling.rolling_min: definitions.lowest,
    rolling.rolling_argmax: definitions.argmax,
    rolling.rolling_argmin: definitions.argmin,
    rolling.rolling_count: definitions.count,
    rolling.rolling_rank: definitions.rank,
    rolling.rolling_slope: definitions.slope,
    rolling.rolling_rsquare: definitions.rsquare,
    rolling.rolling_resi: definitions.resi,
    rolling.rolling_wma: definitions.wma,
}
TWO_SERIES = {rolling.rolling_cov: definitions.cov, rolling.rolling_corr: definitions.corr}

# Two decimals: ties and constant windows are frequent, and no window is constant but for the last digit.
values = st.integers(-400, 400).map(lambda number: number / 100)
gaps = st.sampled_from([np.nan, np.inf, -np.inf])
series_of = arrays.arrays(np.float64, 40, elements=st.one_of(values, values, values, gaps))
splits = st.lists(st.integers(0, 40), max_size=3).map(lambda cuts: np.array([0, *sorted(cuts), 40], np.int64))
lengths = st.integers(1, 45)


def name_of(kernel):
    return kernel.__name__


@pytest.mark.parametrize("kernel", ONE_SERIES, ids=name_of)
@settings(max_examples=100, deadline=None)
@given(series=series_of, offsets=splits, length=lengths)
def test_a_rolling_kernel_agrees_with_its_definition(kernel, series, offsets, length):
    out = np.empty(series.size)
    kernel(series, offsets, length, out)
    expected = rolling_slowly(ONE_SERIES[kernel], length, offsets, series).astype(float)
    np.testing.assert_allclose(out, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kernel", TWO_SERIES, ids=name_of)
@settings(max_examples=100, deadline=None)
@given(left=series_of, right=series_of, offsets=splits, length=lengths)
def test_a_rolling_kernel_of_two_series_agrees_with_its_definition(kernel, left, right, offsets, length):
    out = np.empty(left.size)
    kernel(left, right, offsets, length, out)
    expected = rolling_slowly(TWO_SERIES[kernel], length, offsets, left, right).astype(float)
    np.testing.assert_allclose(out, expected, rtol=1e-9, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(series=series_of, offsets=splits, length=lengths, share=st.floats(0, 1))
def test_the_rolling_quantile_agrees_with_its_definition(series, offsets, length, share):
    out = np.empty(series.size)
    rolling.rolling_quantile(series, offsets, length, share, out)
    expected = rolling_slowly(definitions.quantile(share), length, offsets, series).astype(float)
    np.testing.assert_allclose(out, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kernel", [rolling.rolling_skew, rolling.rolling_kurt], ids=name_of)
def test_skewness_and_kurtosis_are_those_of_pandas(kernel):
    series = np.random.default_rng(3).normal(size=300)
    series[40:90:7] = np.nan
    out = np.empty(series.size)
    kernel(series, np.array([0, series.size]), 20, out)
    windows = pd.Series(series).rolling(20, min_periods=1)
    expected = windows.skew() if kernel is rolling.rolling_skew else windows.kurt()
    np.testing.assert_allclose(out, expected, rtol=1e-8)


@settings(max_examples=100, deadline=None)
@given(series=series_of, length=st.integers(1, 30))
def test_the_exponential_mean_is_that_of_pandas(series, length):
    out = np.empty(series.size)
    rolling.ewm_mean(series, np.array([0, series.size]), length, out)
    finite = pd.Series(np.where(np.isfinite(series), series, np.nan))
    np.testing.assert_allclose(out, finite.ewm(span=length, min_periods=1).mean(), rtol=1e-9, atol=1e-12)


def test_large_prices_keep_their_digits():
    series = 1e12 + np.arange(50.0)
    out = np.empty(50)
    rolling.rolling_std(series, np.array([0, 50]), 5, out)
    np.testing.assert_allclose(out[4:], np.sqrt(2.5), rtol=1e-12)
