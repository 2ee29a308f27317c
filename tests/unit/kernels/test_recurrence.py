"""A step of an LSTM's cells agrees with its definition, in float64."""

import numpy as np
import pytest

from quant_pipelines.kernels.recurrence import step, step_back

# 37 values are some of every width that a processor calculates at once, and a rest.
ROWS, HIDDEN, COLUMNS = 5, 37, 3
CHANCE = np.random.default_rng(8)


def noise(*shape):
    return CHANCE.standard_normal(shape).astype(np.float32)


def sigmoid(x):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def step_slowly(sums, before):
    take, keep, new, show = np.split(sums.astype(float), 4, axis=1)
    gates = np.concatenate([sigmoid(take), sigmoid(keep), np.tanh(new), sigmoid(show)], axis=1)
    cell = sigmoid(keep) * before + sigmoid(take) * np.tanh(new)
    return gates, cell, sigmoid(show) * np.tanh(cell)


def stepped(sums, before):
    """Gates, cells and states after one step."""
    gates, cells, inputs = sums[None].copy(), np.stack([before, before]), noise(2, len(sums), COLUMNS + HIDDEN)
    step(gates, cells, inputs, 0, len(sums))
    return gates[0], cells[1], inputs[1, :, COLUMNS:]


@pytest.mark.parametrize("size", [0.01, 1, 30])
def test_a_step_agrees_with_its_definition(size):
    sums, before = np.float32(size) * noise(ROWS, 4 * HIDDEN), noise(ROWS, HIDDEN)
    for found, expected in zip(stepped(sums, before), step_slowly(sums, before), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=3e-7)


def test_a_gate_is_exact_also_where_it_is_nearly_shut():
    sums = np.tile(np.linspace(-80, 20, HIDDEN, dtype=np.float32), (ROWS, 4))
    gates, _, _ = stepped(sums, noise(ROWS, HIDDEN))
    np.testing.assert_allclose(gates[:, :HIDDEN], sigmoid(sums[:, :HIDDEN].astype(float)), rtol=5e-7)


@pytest.mark.parametrize("extreme", [89, 1e4, 1e30, np.inf])
def test_sums_of_any_size_open_and_shut_gates(extreme):
    before = noise(ROWS, HIDDEN)
    for sign, cell in ((1, before + 1), (-1, 0 * before)):
        gates, cells, _ = stepped(np.full((ROWS, 4 * HIDDEN), sign * extreme, np.float32), before)
        np.testing.assert_allclose(gates[:, :HIDDEN], max(sign, 0), atol=1e-37)
        np.testing.assert_array_equal(gates[:, 2 * HIDDEN : 3 * HIDDEN], sign)
        np.testing.assert_allclose(cells, cell, rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize("gate", range(4))
def test_what_is_not_a_number_stays_none(gate):
    sums = noise(ROWS, 4 * HIDDEN)
    sums[1, gate * HIDDEN + 7] = np.nan
    _, cells, states = stepped(sums, noise(ROWS, HIDDEN))
    assert np.flatnonzero(np.isnan(states)).tolist() == [HIDDEN + 7]
    assert np.isnan(cells[1, 7]) == (gate < 3)


def test_a_step_back_agrees_with_differences():
    sums, before, by_state, by_cell = noise(ROWS, 4 * HIDDEN), *(noise(ROWS, HIDDEN) for _ in range(3))

    def value(sums, before):
        _, cell, state = step_slowly(sums, before)
        return cell * by_cell + state * by_state

    def difference(*change):
        """Per value, and by central differences: no value of a row acts on another."""
        away = 1e-5
        up, down = (value(sums + sign * change[0], before.astype(float) + sign * change[1]) for sign in (away, -away))
        return (up - down) / (2 * away)

    gates, cell, _ = stepped(sums, before)
    by_inputs = noise(ROWS, COLUMNS + HIDDEN)
    by_inputs[:, COLUMNS:], by_before = by_state, by_cell.copy()
    step_back(gates[None], np.stack([before, cell]), by_before, by_inputs, 0)
    for gate in range(4):
        moved = np.zeros(4 * HIDDEN)
        moved[gate * HIDDEN : (gate + 1) * HIDDEN] = 1
        np.testing.assert_allclose(
            gates[:, gate * HIDDEN : (gate + 1) * HIDDEN], difference(moved, 0), rtol=1e-4, atol=1e-6
        )
    np.testing.assert_allclose(by_before, difference(0, 1), rtol=1e-4, atol=1e-6)


def test_rows_beyond_the_batch_are_left_alone():
    gates, cells, inputs = noise(1, ROWS, 4 * HIDDEN), noise(2, ROWS, HIDDEN), noise(2, ROWS, COLUMNS + HIDDEN)
    arrays = gates, cells, inputs
    before = [each.copy() for each in arrays]
    step(gates, cells, inputs, 0, 2)
    for found, was in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(found[:, 2:], was[:, 2:])
        assert not np.array_equal(found, was)
