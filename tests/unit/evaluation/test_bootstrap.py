"""Drawing sessions: what is drawn, and that doubt is neither too small nor too large."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from quant_pipelines.evaluation.bootstrap import (
    FEWEST_BLOCKS,
    Doubt,
    Resampling,
    block_sessions,
    doubt,
    drawn,
    percentiles,
    times_drawn,
)
from quant_pipelines.evaluation.failures import BadEvaluation

SESSIONS = st.integers(1, 120)
SPANS = st.integers(1, 10)


@given(sessions=SESSIONS, span=SPANS)
def test_sessions_are_drawn_in_blocks_around_the_end(sessions, span):
    resampling = Resampling(seed=1, span_sessions=span, resamples=100)
    places = drawn(sessions, resampling)
    assert places.shape == (100, sessions)
    block = min(block_sessions(sessions, span), sessions)
    follows = (places[:, 1:] - places[:, :-1]) % sessions == 1 % sessions
    inside = np.arange(1, sessions) % block != 0
    assert follows[:, inside].all()


@given(sessions=SESSIONS, span=SPANS)
def test_every_draw_has_as_many_sessions_as_there_are(sessions, span):
    resampling = Resampling(seed=1, span_sessions=span, resamples=100)
    times = times_drawn(sessions, resampling)
    slowly = [np.bincount(row, minlength=sessions) for row in drawn(sessions, resampling)]
    np.testing.assert_array_equal(times, slowly)


@given(sessions=SESSIONS, span=SPANS)
def test_blocks_hold_what_neighbours_share(sessions, span):
    block = block_sessions(sessions, span)
    assert block >= 2 * span
    assert block**2 >= sessions - 2 * block


def test_the_same_seed_draws_the_same_and_another_one_others():
    one = drawn(60, Resampling(seed=1, span_sessions=1))
    np.testing.assert_array_equal(one, drawn(60, Resampling(seed=1, span_sessions=1)))
    assert (one != drawn(60, Resampling(seed=2, span_sessions=1))).any()


def test_the_doubt_of_a_mean_of_independent_sessions_is_the_textbooks():
    chance = np.random.default_rng(2)
    ratios = []
    for seed in range(60):
        values = chance.standard_normal(100)
        means = times_drawn(100, Resampling(seed=seed, span_sessions=1, resamples=400)) @ values / 100
        found = doubt(means, 100, block_sessions(100, 1))
        assert found is not None
        assert found.freedom == 9
        ratios.append(found.error / 0.1)
    assert np.sqrt(np.mean(np.square(ratios))) == pytest.approx(1.0, abs=0.1)


@given(gain=st.floats(-5, 5), error=st.floats(0.1, 5), freedom=st.floats(2, 100))
def test_an_interval_is_above_zero_exactly_where_luck_is_below_its_tail(gain, error, freedom):
    found = Doubt(error=error, freedom=freedom, resamples=10**9)
    low, high = found.interval(gain, 0.9)
    assert low <= gain <= high
    if abs(low) > 1e-9:
        assert (low > 0) == (found.luck(gain) < 0.05)
    assert found.luck(gain) == pytest.approx(max(stats.t.sf(gain / error, freedom), 1e-9), abs=1e-8)


def test_no_gain_is_all_luck_and_no_draw_says_never():
    certain = Doubt(error=0.0, freedom=5.0, resamples=1999)
    assert certain.luck(0.0) == 1.0
    assert certain.luck(0.3) == 1 / 2000


def test_too_few_sessions_have_no_doubt():
    values = np.random.default_rng(1).standard_normal(500)
    assert doubt(values, FEWEST_BLOCKS * 5 - 1, 5) is None
    assert doubt(values, FEWEST_BLOCKS * 5, 5) is not None
    assert doubt(np.where(np.arange(500) % 5, values, np.nan), 60, 5) is None


def test_percentiles_are_of_paths():
    series = np.random.default_rng(1).standard_normal(200)
    resampling = Resampling(seed=1, span_sessions=1)
    found = percentiles(series, lambda paths: paths.mean(axis=-1), resampling)
    assert found is not None
    assert found[0] < series.mean() < found[1]
    assert percentiles(series[:4], lambda paths: paths.mean(axis=-1), resampling) is None


@pytest.mark.parametrize("wrong", [{"span_sessions": 0}, {"resamples": 10}, {"confidence": 1.0}])
def test_draws_that_mean_nothing_are_refused(wrong):
    with pytest.raises(BadEvaluation, match="mean nothing"):
        Resampling(**{"seed": 1, "span_sessions": 1} | wrong)
