"""Correlations of features, and their share in what a model learned."""

import numpy as np
import pytest

from quant_pipelines.models import Inputs
from quant_pipelines.training import analyze_feature_correlations, extract_feature_importance


def inputs(*columns: np.ndarray) -> Inputs:
    block = np.stack(columns, axis=1).astype(np.float32)
    rows = np.arange(len(block))
    names = tuple("abcdef"[: len(columns)])
    return Inputs(block=block, ends=rows, sessions=rows, columns=names)


def test_correlations_agree_with_numpy():
    values = np.random.default_rng(1).standard_normal((500, 4)) @ np.random.default_rng(2).standard_normal((4, 4))
    found = analyze_feature_correlations(inputs(*values.T), at_least=0)
    expected = np.corrcoef(values.astype(np.float32).T)
    assert len(found) == 6
    for pair in found:
        a, b = "abcd".index(pair.first), "abcd".index(pair.second)
        assert pair.correlation == pytest.approx(expected[a, b], abs=1e-9)


def test_rows_in_which_one_is_missing_do_not_count():
    chance = np.random.default_rng(3)
    a, b = chance.standard_normal(400), chance.standard_normal(400)
    b[:200] = a[:200]
    b[200:] = np.nan
    (pair,) = analyze_feature_correlations(inputs(a, b))
    assert pair.correlation == pytest.approx(1, abs=1e-6)


def test_a_constant_or_empty_feature_is_like_nothing():
    chance = np.random.default_rng(4).standard_normal(100)
    assert analyze_feature_correlations(inputs(chance, np.ones(100), np.full(100, np.nan))) == []


def test_the_closest_pairs_come_first():
    a = np.random.default_rng(5).standard_normal(1000)
    noise = np.random.default_rng(6).standard_normal(1000)
    found = analyze_feature_correlations(inputs(a, a + 0.3 * noise, -a + 0.01 * noise))
    assert (found[0].first, found[0].second) == ("a", "c")
    assert found[0].correlation < -0.99


def test_importances_are_shares_the_greatest_first():
    found = extract_feature_importance({"a": 1.0, "b": -3.0})
    assert found == {"b": 0.75, "a": 0.25}
    assert list(found) == ["b", "a"]
    assert extract_feature_importance({"a": 0.0}) == {"a": 0.0}
    assert extract_feature_importance(None) == {}
