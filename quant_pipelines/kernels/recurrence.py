"""A step of an LSTM's cells, forward and back: all that its products of matrices leave to be done.

In float32, as the products are. A value passes from its sums to its state, or from the state's slope to those of the
sums, within the processor; PyTorch's single operations would each write it down for the next one.
"""

import numpy as np

from quant_pipelines.kernels.compiled import Singles, kernel, part

# A number beside a float32 makes a float64 of it, so each is one.
_ONE, _TWO = np.float32(1), np.float32(2)
# exp is calculated between these; beyond them it is 0 or infinite to what is added to it here.
_LOWEST, _HIGHEST = np.float32(-87), np.float32(88)
_LOG2_E = np.float32(1.4426950408889634)
# The logarithm of 2 in two parts: the first has so few digits that its multiples are exact.
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
# Added to a small number, it leaves no place for digits after the point.
_ROUNDING = np.float32(3 << 22)
# Of exp, near 0: eight terms leave out less than float32 can hold.
_SERIES = tuple(np.float32(1 / each) for each in (5040, 720, 120, 24, 6, 2))
_EXPONENT_BIAS, _EXPONENT_PLACE = 127, 23


@part
def _exp(x: np.float32) -> np.float32:
    """To 1e-7 of itself, and NaN of NaN. Without a call or a branch, so that several are calculated at once."""
    x = min(max(x, _LOWEST), _HIGHEST)
    shifted = x * _LOG2_E + _ROUNDING
    power = shifted - _ROUNDING
    rest = x - power * _LN2_HIGH - power * _LN2_LOW
    total = _SERIES[0]
    for at in range(1, 6):
        total = total * rest + _SERIES[at]
    total = total * rest * rest + rest + _ONE
    # The last digits of the shifted number are those of the power, which becomes a float's exponent.
    bits = np.int32((np.float32(shifted).view(np.int32) + _EXPONENT_BIAS) << _EXPONENT_PLACE)
    return total * bits.view(np.float32)


@part
def _sigmoid(x: np.float32) -> np.float32:
    return _ONE / (_ONE + _exp(-x))


@part
def _tanh(x: np.float32) -> np.float32:
    return _TWO / (_ONE + _exp(-_TWO * x)) - _ONE


@kernel
def step(gates: Singles, cells: Singles, inputs: Singles, at: int, batch: int) -> None:
    """The gates' sums of step `at` become the gates, and give the cells and states that stand after it.

    `gates` is length x rows x 4 hidden, in PyTorch's order: take, keep, new, show. `cells` has one step more: its
    first stands before all; so has `inputs`, whose last columns are the states. Only the first `batch` rows count.
    """
    width = cells.shape[2]
    for row in range(batch):
        gate = gates[at, row]
        take, keep, new, show = gate[:width], gate[width : 2 * width], gate[2 * width : 3 * width], gate[3 * width :]
        before, cell, state = cells[at, row], cells[at + 1, row], inputs[at + 1, row, inputs.shape[2] - width :]
        for i in range(width):
            take[i], keep[i] = _sigmoid(take[i]), _sigmoid(keep[i])
            new[i], show[i] = _tanh(new[i]), _sigmoid(show[i])
            cell[i] = keep[i] * before[i] + take[i] * new[i]
            state[i] = show[i] * _tanh(cell[i])


@kernel
def step_back(gates: Singles, cells: Singles, by_cell: Singles, by_inputs: Singles, at: int) -> None:
    """The gates of step `at` become the slopes of their sums, and the cell's slope that of the cell before it.

    The last columns of `by_inputs` are the slopes of the states after the step.
    """
    width = cells.shape[2]
    for row in range(by_cell.shape[0]):
        gate = gates[at, row]
        take, keep, new, show = gate[:width], gate[width : 2 * width], gate[2 * width : 3 * width], gate[3 * width :]
        before, cell = cells[at, row], cells[at + 1, row]
        slope, by_state = by_cell[row], by_inputs[row, by_inputs.shape[1] - width :]
        for i in range(width):
            shown = _tanh(cell[i])
            by = slope[i] + by_state[i] * show[i] * (_ONE - shown * shown)
            show[i] = by_state[i] * shown * show[i] * (_ONE - show[i])
            slope[i] = by * keep[i]
            keep[i] = by * before[i] * keep[i] * (_ONE - keep[i])
            taken = take[i]
            take[i] = by * new[i] * taken * (_ONE - taken)
            new[i] = by * taken * (_ONE - new[i] * new[i])
