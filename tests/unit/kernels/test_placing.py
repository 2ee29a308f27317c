"""Columns find their places."""

import numpy as np

from quant_pipelines.kernels.placing import place_columns, place_rows


def test_columns_are_placed_as_indexing_would():
    random = np.random.default_rng(3)
    values = random.normal(size=(5, 90)).astype(np.float32)
    sources, targets = random.permutation(90)[:60], random.permutation(100)[:60]
    expected, out = np.zeros((5, 100), np.float32), np.zeros((5, 100), np.float32)
    expected[:, targets] = values[:, sources]
    place_columns(values, sources, targets, out)
    np.testing.assert_array_equal(out, expected)


def test_rows_are_placed_as_indexing_would():
    random = np.random.default_rng(4)
    columns = random.normal(size=(7, 300)).astype(np.float32)
    sources, targets = random.permutation(300)[:200], random.permutation(400)[:200]
    expected, out = np.zeros((400, 9), np.float32), np.zeros((400, 9), np.float32)
    expected[targets, 1:8] = columns[:, sources].T
    place_rows(columns, sources, targets, 1, out)
    np.testing.assert_array_equal(out, expected)
