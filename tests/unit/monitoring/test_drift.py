"""How far rows lie from a training beyond what is usual, by distances that another library calculates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import ks_2samp

from quant_pipelines.monitoring import NothingToCompare, drift

COLUMN = arrays(np.float32, st.integers(3, 60), elements=st.floats(-5, 5, width=32).map(lambda each: round(each, 1)))
SESSIONS, PARTS = 20, 8


def distance(before: np.ndarray, lately: np.ndarray) -> float:
    """That of one column: nothing is usual but no distance at all."""
    return drift(before[:, None], [before[:, None]], lately[:, None], ("a",)).score


@given(before=COLUMN, lately=COLUMN)
def test_the_distance_of_a_column_is_that_of_kolmogorov_and_smirnov(before, lately):
    """S2-87."""
    expected = ks_2samp(before, lately, method="asymp").statistic
    assert distance(before, lately) == pytest.approx(expected, abs=1e-12)
    assert distance(lately, before) == pytest.approx(expected, abs=1e-12)


@given(column=COLUMN, seed=st.integers(0, 9))
def test_the_same_rows_in_another_order_have_not_moved_and_no_row_in_common_is_one(column, seed):
    assert distance(column, np.random.default_rng(seed).permutation(column)) == 0
    assert distance(column, column + 100) == 1


def test_values_that_are_missing_more_often_have_moved_too():
    whole, half = np.arange(10, dtype=np.float32), np.arange(10, dtype=np.float32)
    half[::2] = np.nan
    assert distance(whole, half) == pytest.approx(0.5)
    assert distance(whole, np.full(10, np.nan, np.float32)) == 1
    assert distance(half, half) == 0


def test_the_score_is_over_all_columns_and_the_furthest_are_named_first():
    chance = np.random.default_rng(1)
    before = chance.standard_normal((500, 3)).astype(np.float32)
    lately = before + np.array([0, 0.5, 3], np.float32)
    found = drift(before, [before], lately, ("still", "some", "far"))
    assert found.score == pytest.approx(np.mean(list(found.by_column.values())))
    assert [name for name, _ in found.furthest(2)] == ["far", "some"]
    assert found.by_column["still"] == 0


def lasting(symbols: int, sessions: int, memory: float, seed: int) -> np.ndarray:
    """(sessions x symbols x columns) of values that last, about a level of each symbol's own, and do not drift."""
    chance = np.random.default_rng(seed)
    out = np.empty((sessions, symbols, 10), np.float32)
    now = chance.standard_normal((symbols, 10))
    level = chance.standard_normal((symbols, 10))
    for at in range(sessions):
        now = memory * now + np.sqrt(1 - memory**2) * chance.standard_normal(now.shape)
        out[at] = level + now
    return out


@pytest.mark.parametrize("symbols", [1, 3, 30])
@pytest.mark.parametrize("memory", [0.0, 0.8, 0.95])
def test_few_symbols_and_values_that_last_are_no_drift_and_a_shift_is(symbols, memory):
    """S2-118: beyond 0.3 is an alert, so what has not drifted stays below it, and what has moved by 3 does not."""
    scores, shifted = [], []
    for seed in range(10):
        panel = lasting(symbols, 400 + SESSIONS, memory, seed)
        learned, lately = panel[:400].reshape(-1, 10), panel[400:].reshape(-1, 10)
        usual = [panel[begin : begin + SESSIONS].reshape(-1, 10) for begin in range(0, 400, 400 // PARTS)]
        names = tuple(f"f{at}" for at in range(10))
        scores.append(drift(learned, usual, lately, names).score)
        shifted.append(drift(learned, usual, lately + 3, names).score)
    assert max(scores) < 0.3
    assert min(shifted) > 0.3


@pytest.mark.parametrize(("before", "lately"), [((0, 2), (3, 2)), ((3, 2), (0, 2)), ((3, 2), (3, 1)), ((3, 0), (3, 0))])
def test_rows_that_cannot_be_compared_are_refused(before, lately):
    with pytest.raises(NothingToCompare, match="cannot be compared in 2 columns"):
        drift(np.zeros(before, np.float32), [np.zeros(before, np.float32)], np.zeros(lately, np.float32), ("a", "b"))


def test_without_a_part_of_the_training_nothing_is_usual():
    with pytest.raises(NothingToCompare, match="no part of the training"):
        drift(np.zeros((3, 1), np.float32), [], np.zeros((3, 1), np.float32), ("a",))
