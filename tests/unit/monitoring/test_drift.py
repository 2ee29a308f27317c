"""How far rows lie from others: a distance between 0 and 1, as another library calculates it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import ks_2samp

from quant_pipelines.monitoring import NothingToCompare, drift

COLUMN = arrays(np.float32, st.integers(3, 60), elements=st.floats(-5, 5, width=32).map(lambda each: round(each, 1)))


def of(before: np.ndarray, lately: np.ndarray) -> float:
    return drift(before[:, None], lately[:, None], ("a",)).score


@given(before=COLUMN, lately=COLUMN)
def test_the_distance_of_a_column_is_that_of_kolmogorov_and_smirnov(before, lately):
    """S2-87."""
    assert of(before, lately) == pytest.approx(ks_2samp(before, lately, method="asymp").statistic, abs=1e-12)


@given(column=COLUMN, seed=st.integers(0, 9))
def test_the_same_rows_in_another_order_have_not_moved_and_no_row_in_common_is_one(column, seed):
    assert of(column, np.random.default_rng(seed).permutation(column)) == 0
    assert of(column, column + 100) == 1


def test_values_that_are_missing_more_often_have_moved_too():
    whole, half = np.arange(10, dtype=np.float32), np.arange(10, dtype=np.float32)
    half[::2] = np.nan
    assert of(whole, half) == pytest.approx(0.5)
    assert of(whole, np.full(10, np.nan, np.float32)) == 1
    assert of(half, half) == 0


def test_the_score_is_the_mean_over_columns_and_the_furthest_are_named_first():
    chance = np.random.default_rng(1)
    before = chance.standard_normal((500, 3)).astype(np.float32)
    lately = before + np.array([0, 0.5, 3], np.float32)
    found = drift(before, lately, ("still", "some", "far"))
    assert found.score == pytest.approx(np.mean(list(found.by_column.values())))
    assert [name for name, _ in found.furthest(2)] == ["far", "some"]
    assert found.by_column["still"] == 0


@pytest.mark.parametrize(("before", "lately"), [((0, 2), (3, 2)), ((3, 2), (0, 2)), ((3, 2), (3, 1)), ((3, 0), (3, 0))])
def test_rows_that_cannot_be_compared_are_refused(before, lately):
    with pytest.raises(NothingToCompare, match="cannot be compared in 2 columns"):
        drift(np.zeros(before, np.float32), np.zeros(lately, np.float32), ("a", "b"))
