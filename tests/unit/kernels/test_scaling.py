"""Scales agree with numpy's definitions."""

import numpy as np

from quant_pipelines.kernels.scaling import column_sums, scale_rows


def values_with_holes():
    random = np.random.default_rng(5)
    values = (random.normal(size=(500, 6)) * [1, 1e3, 1e-3, 1, 1, 1] + [0, 1e6, 0, 5, 0, 0]).astype(np.float32)
    values[random.random(values.shape) < 0.1] = np.nan
    values[:, 5] = np.nan
    return values


def test_sums_make_the_mean_and_the_variance():
    values, rows = values_with_holes(), np.arange(0, 500, 3)
    shift = np.array([0, 1e6 + 500, 0, 5, 0, 0])
    counts, sums, squares = np.zeros(6, np.int64), np.zeros(6), np.zeros(6)
    column_sums(values, rows, shift, counts, sums, squares)
    there = counts > 0
    mean = shift[there] + sums[there] / counts[there]
    variance = squares[there] / counts[there] - (sums[there] / counts[there]) ** 2
    exact = values[rows][:, there].astype(float)
    np.testing.assert_array_equal(counts, (~np.isnan(values[rows])).sum(axis=0))
    np.testing.assert_allclose(mean, np.nanmean(exact, axis=0), rtol=1e-12)
    np.testing.assert_allclose(variance, np.nanvar(exact, axis=0), rtol=1e-9)
    assert not there[5]


def test_rows_are_scaled_bounded_and_filled():
    values = values_with_holes()
    centre, scale = np.float32([0, 1e6, 0, 5, 1, 0]), np.float32([1, 1e3, 1e-3, 2, 1, 1])
    expected = np.clip((values - centre) / scale, -2, 2)
    expected[np.isnan(expected)] = 0
    scale_rows(values, centre, scale, np.float32([2]), np.float32([0]))
    np.testing.assert_array_equal(values, expected)
