"""Forward returns against their definition, one cell at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from quant_pipelines.labels import BadLabelInput, BadLabelSettings, forward_returns

HORIZONS = (1, 2, 5, 10, 20)
closes = arrays.arrays(
    np.float64,
    st.tuples(st.integers(0, 30), st.integers(0, 4)),
    elements=st.one_of(st.integers(1, 100_000).map(lambda cents: cents / 100), st.just(np.nan)),
)


def slowly(close, horizon):
    out = np.full(close.shape, np.nan)
    for t in range(close.shape[0] - horizon):
        for symbol in range(close.shape[1]):
            out[t, symbol] = close[t + horizon, symbol] / close[t, symbol] - 1
    return out


@given(closes)
def test_forward_returns_agree_with_their_definition(close):
    returns = forward_returns(close, HORIZONS)
    assert list(returns) == list(HORIZONS)
    for horizon, found in returns.items():
        np.testing.assert_array_equal(found, slowly(close, horizon))


@given(closes, st.data())
def test_a_return_does_not_change_when_the_future_beyond_it_is_cut(close, data):
    kept = data.draw(st.integers(0, close.shape[0]))
    for horizon, whole in forward_returns(close, HORIZONS).items():
        short = forward_returns(close[:kept], HORIZONS)[horizon]
        resolved = max(kept - horizon, 0)
        np.testing.assert_array_equal(short[:resolved], whole[:resolved])
        assert np.isnan(short[resolved:]).all()


def test_a_return_over_a_suspension_is_that_of_its_two_ends():
    returns = forward_returns(np.array([[10.0], [np.nan], [12.0]]), (1, 2))
    np.testing.assert_array_equal(returns[1], [[np.nan]] * 3)
    np.testing.assert_array_equal(returns[2], [[12.0 / 10.0 - 1], [np.nan], [np.nan]])


def test_a_horizon_longer_than_the_data_is_missing_throughout():
    returns = forward_returns(np.array([[10.0, 20.0], [11.0, 21.0]]), (1, 5))
    assert np.isnan(returns[5]).all()
    assert returns[5].shape == (2, 2)
    assert np.isfinite(returns[1][0]).all()  # control


@pytest.mark.parametrize("price", [0.0, -1.0, np.inf, -np.inf])
def test_what_is_no_price_is_refused_with_its_place(price):
    with pytest.raises(BadLabelInput, match="row 1, column 0"):
        forward_returns(np.array([[10.0], [price], [12.0]]), (1,))


@pytest.mark.parametrize("horizon", [0, -1])
def test_a_horizon_that_does_not_look_ahead_is_refused(horizon):
    with pytest.raises(BadLabelSettings, match="do not look ahead"):
        forward_returns(np.ones((3, 1)), (1, horizon))


def test_a_vector_is_refused():
    with pytest.raises(BadLabelInput, match="sessions x symbols"):
        forward_returns(np.ones(3), (1,))
