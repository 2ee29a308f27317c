"""Sample weights against slow definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.labels import (
    BadLabelInput,
    BadLabelSettings,
    average_uniqueness,
    exponential_decay,
    linear_decay,
)

spans = st.lists(st.tuples(st.integers(-5, 30), st.integers(1, 8), st.integers(0, 3)), max_size=40)
ages = st.lists(st.integers(0, 3000), max_size=30).map(lambda each: np.array(each, np.int64))


def columns(rows):
    opens, lengths, symbols = (np.array([row[n] for row in rows], np.int64) for n in range(3))
    return opens, opens + lengths, symbols


def uniqueness_slowly(opens, resolves, symbols):
    labels = [(s, set(range(a + 1, b + 1))) for a, b, s in zip(opens, resolves, symbols, strict=True)]
    return [
        np.mean([1 / sum(symbol == other and session in held for other, held in labels) for session in own])
        for symbol, own in labels
    ]


@given(spans)
def test_average_uniqueness_agrees_with_its_definition(rows):
    np.testing.assert_allclose(average_uniqueness(*columns(rows)), uniqueness_slowly(*columns(rows)), rtol=1e-12)


@given(spans, st.randoms(use_true_random=False))
def test_the_order_of_rows_moves_no_weight(rows, chance):
    places = list(range(len(rows)))
    chance.shuffle(places)
    shuffled = average_uniqueness(*columns([rows[place] for place in places]))
    np.testing.assert_allclose(shuffled, average_uniqueness(*columns(rows))[places], rtol=1e-12)


def test_one_session_labels_are_unique_and_five_session_ones_are_a_fifth():
    days, one = np.arange(100), np.zeros(100, np.int64)
    np.testing.assert_array_equal(average_uniqueness(days, days + 1, one), 1.0)
    np.testing.assert_allclose(average_uniqueness(days, days + 5, one)[4:-4], 0.2)


def test_labels_of_other_symbols_are_not_shared():
    both = np.array([0, 0])
    np.testing.assert_array_equal(average_uniqueness(both, both + 5, np.array([0, 1])), [1.0, 1.0])
    np.testing.assert_array_equal(average_uniqueness(both, both + 5, both), [0.5, 0.5])  # control


@given(ages, st.floats(0.5, 500))
def test_weights_halve_after_each_half_life(age, half_life):
    expected = [0.5 ** (each / half_life) for each in age.tolist()]
    np.testing.assert_allclose(exponential_decay(age, half_life_sessions=half_life), expected, rtol=1e-12, atol=1e-300)


@given(ages, st.floats(-0.99, 1))
def test_linear_weights_fall_from_one_to_the_oldest(age, oldest):
    greatest = max([*age.tolist(), 1])
    expected = [max(0.0, 1 - (1 - oldest) * each / greatest) for each in age.tolist()]
    np.testing.assert_allclose(linear_decay(age, oldest=oldest), expected, atol=1e-12)


def test_below_zero_the_oldest_rows_weigh_nothing():
    np.testing.assert_allclose(linear_decay(np.arange(5), oldest=-0.5), [1, 0.625, 0.25, 0, 0])


@pytest.mark.parametrize("resolves", [3, 2])
def test_a_label_that_resolves_before_it_opens_is_refused(resolves):
    with pytest.raises(BadLabelInput, match="row 1 opens at 3"):
        average_uniqueness(np.array([0, 3]), np.array([1, resolves]), np.zeros(2, np.int64))


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(BadLabelInput, match="one each"):
        average_uniqueness(np.array([0, 3]), np.array([1]), np.zeros(2, np.int64))


@pytest.mark.parametrize(
    "weigh",
    [
        lambda: exponential_decay(np.arange(3), half_life_sessions=0),
        lambda: exponential_decay(np.arange(3), half_life_sessions=float("nan")),
        lambda: linear_decay(np.arange(3), oldest=1.1),
        lambda: linear_decay(np.arange(3), oldest=-1),
    ],
)
def test_a_decay_without_a_meaning_is_refused(weigh):
    with pytest.raises(BadLabelSettings):
        weigh()


def test_a_row_of_the_future_is_refused():
    with pytest.raises(BadLabelInput, match="row of the future"):
        exponential_decay(np.array([0, -1]), half_life_sessions=10)
