"""Training of an LSTM on the CPU: what nn.LSTM calculates, and its gradient, in two thirds of the time.

The gradients of all steps stand side by side, so that each weight's is one product over all of them; and tanh, of which
PyTorch's costs four times a sigmoid, is calculated as one (`benchmarks/bench_nets.py`).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input


def sequence_of(rnn: nn.LSTM, x: Tensor) -> Tensor:
    """(batch x length x hidden): the last layer's states, of (batch x length x columns)."""
    if rnn.training and x.device.type == "cpu":
        return states_of(rnn, x.transpose(0, 1)).transpose(0, 1)
    return rnn(x)[0]


def states_of(rnn: nn.LSTM, x: Tensor) -> Tensor:
    """(length x batch x hidden): the last layer's states, of (length x batch x columns)."""
    for layer, weights in enumerate(rnn.all_weights):
        if layer:
            x = functional.dropout(x, rnn.dropout)
        w_in, w_state, b_in, b_state = weights
        x = Recurrence.apply(x.contiguous(), w_in, w_state, b_in + b_state)
    return x


class Recurrence(Function):
    """One layer."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_in: Tensor, w_state: Tensor, bias: Tensor) -> Tensor:
        length, batch, _ = x.shape
        width = w_state.shape[1]
        # tanh(x) = 2 sigmoid(2x) - 1, so one sigmoid serves all gates.
        doubled = torch.ones_like(bias)
        doubled[2 * width : 3 * width] = 2
        gates = torch.addmm(bias * doubled, x.flatten(0, 1), w_in.t() * doubled).view(length, batch, -1)
        w_next = w_state.t() * doubled
        # One place more than steps: the first is what stands before them.
        states, cells = x.new_zeros(length + 1, batch, width), x.new_zeros(length + 1, batch, width)
        shown = x.new_empty(length, batch, width)
        for at in range(length):
            take, keep, new, show = gates[at].addmm_(states[at], w_next).sigmoid_().chunk(4, 1)
            new.mul_(2).sub_(1)
            torch.mul(keep, cells[at], out=cells[at + 1]).addcmul_(take, new)
            torch.mul(cells[at + 1], 2, out=shown[at]).sigmoid_().mul_(2).sub_(1)
            torch.mul(show, shown[at], out=states[at + 1])
        ctx.save_for_backward(x, w_in, w_state, gates, states, cells, shown)
        return states[1:]

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        x, w_in, w_state, gates, states, cells, shown = ctx.saved_tensors
        by_gate = torch.empty_like(gates)
        state, cell = torch.zeros_like(states[0]), torch.zeros_like(states[0])
        for at in reversed(range(len(gates))):
            take, keep, new, show = gates[at].chunk(4, 1)
            by_take, by_keep, by_new, by_show = by_gate[at].chunk(4, 1)
            state += slopes[0][at]
            _sigmoid_backward(state * shown[at], show, grad_input=by_show)
            cell += torch.ops.aten.tanh_backward(state.mul_(show), shown[at])
            _sigmoid_backward(cell * new, take, grad_input=by_take)
            _sigmoid_backward(cell * cells[at], keep, grad_input=by_keep)
            _tanh_backward(cell * take, new, grad_input=by_new)
            cell *= keep
            state = by_gate[at] @ w_state
        flat = by_gate.flatten(0, 1)
        by_x = (flat @ w_in).view(x.shape) if ctx.needs_input_grad[0] else None
        return by_x, flat.t() @ x.flatten(0, 1), flat.t() @ states[:-1].flatten(0, 1), flat.sum(0)
