"""Training of an LSTM on the CPU: what nn.LSTM calculates, and its gradient, in half the time.

Three quarters of what is left are products of matrices. Between them one compiled loop does all of a step, and nothing
large is written into fresh memory, of which every page costs a fault (`benchmarks/bench_nets.py`).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from quant_pipelines.kernels.recurrence import step, step_back

_GATES, _WEIGHTS_OF_A_LAYER = 4, 4
# Dropout takes 16 bits a value, of which a number of the generator has four: its share is met to 1e-5.
_DRAWS, _DRAWN_AT_ONCE = 1 << 16, 4


class Layer:
    """One layer's weights, and what its steps leave behind for its gradient."""

    def __init__(self, columns: int, hidden: int, length: int, rows: int) -> None:
        self.columns = columns
        # A step reads its columns and, beside them, the state before it: one product of matrices for both.
        self.weights, self.bias = torch.empty(_GATES * hidden, columns + hidden), torch.empty(_GATES * hidden)
        self.inputs = torch.zeros(length + 1, rows, columns + hidden)
        self.gates = torch.empty(length, rows, _GATES * hidden)
        self.cells = torch.zeros(length + 1, rows, hidden)

    def load(self, w_in: Tensor, w_state: Tensor, b_in: Tensor, b_state: Tensor) -> None:
        torch.cat((w_in, w_state), 1, out=self.weights)
        torch.add(b_in, b_state, out=self.bias)

    def states(self, at: int, batch: int) -> Tensor:
        """Those that step `at` finds."""
        return self.inputs[at, :batch, self.columns :]

    def step(self, at: int, batch: int) -> None:
        torch.addmm(self.bias, self.inputs[at, :batch], self.weights.t(), out=self.gates[at, :batch])
        step(self.gates.numpy(), self.cells.numpy(), self.inputs.numpy(), at, batch)


class Slopes:
    """One layer on the way back: the slopes of its states, columns and weights. It uses up the layer's gates."""

    def __init__(self, layer: Layer, batch: int, *, columns_too: bool) -> None:
        hidden = layer.cells.shape[2]
        self._layer = layer
        self._back = layer.weights if columns_too else layer.weights[:, layer.columns :].contiguous()
        self._by_inputs, self._by_cell = torch.zeros(batch, self._back.shape[1]), torch.zeros(batch, hidden)
        self._by_weights, self._by_bias = torch.zeros_like(layer.weights), torch.zeros_like(layer.bias)
        self.by_states, self.by_columns = self._by_inputs[:, -hidden:], self._by_inputs[:, :-hidden]

    def step_back(self, at: int) -> None:
        """From the slopes of the states after step `at` to those of the states and columns that it read."""
        layer, batch = self._layer, len(self._by_cell)
        step_back(layer.gates.numpy(), layer.cells.numpy(), self._by_cell.numpy(), self._by_inputs.numpy(), at)
        by_sums = layer.gates[at, :batch]
        self._by_weights.addmm_(by_sums.t(), layer.inputs[at, :batch])
        self._by_bias += by_sums.sum(0)
        torch.mm(by_sums, self._back, out=self._by_inputs)

    def by_weights(self) -> tuple[Tensor, ...]:
        """In PyTorch's order. Two biases are added, so they share their slope."""
        columns = self._layer.columns
        return self._by_weights[:, :columns], self._by_weights[:, columns:], self._by_bias, self._by_bias


class Tape:
    """All layers, with room for so many rows. A step goes through all while its states are in the cache."""

    def __init__(self, columns: int, hidden: int, layers: int, length: int, rows: int) -> None:
        self.length, self.rows = length, rows
        self.layers = [Layer(hidden if place else columns, hidden, length, rows) for place in range(layers)]
        # What states are multiplied by on their way to the layer above.
        self._kept = torch.ones(layers - 1, length, rows, hidden)
        self._draws = torch.empty(rows, -(-hidden // _DRAWN_AT_ONCE), dtype=torch.int64)

    def forward(self, x: Tensor, dropout: float) -> Tensor:
        batch, _, columns = x.shape
        self.layers[0].inputs[:-1, :batch, :columns] = x.transpose(0, 1)
        for at in range(self.length):
            for place, layer in enumerate(self.layers):
                if place:
                    kept, below = self._kept[place - 1, at, :batch], self.layers[place - 1]
                    if dropout:
                        self._draw(kept, dropout)
                    torch.mul(below.states(at + 1, batch), kept, out=layer.inputs[at, :batch, : layer.columns])
                layer.step(at, batch)
        return self.layers[-1].states(self.length, batch).clone()

    def backward(self, slope: Tensor, by_x: Tensor | None) -> list[Tensor]:
        """The slopes of all weights; those of x are written, where they are asked for."""
        batch = len(slope)
        layers = [
            Slopes(layer, batch, columns_too=place > 0 or by_x is not None) for place, layer in enumerate(self.layers)
        ]
        layers[-1].by_states.copy_(slope)
        for at in reversed(range(self.length)):
            for place, layer in reversed(list(enumerate(layers))):
                layer.step_back(at)
                if place:
                    layers[place - 1].by_states.addcmul_(layer.by_columns, self._kept[place - 1, at, :batch])
            if by_x is not None:
                by_x[:, at] = layers[0].by_columns
        return [each for layer in layers for each in layer.by_weights()]

    def _draw(self, kept: Tensor, dropout: float) -> None:
        """0 with the share `dropout`, else what keeps the mean."""
        dropped = min(round(dropout * _DRAWS), _DRAWS - 1)
        draws = self._draws[: len(kept)].random_(torch.iinfo(torch.int64).min, None).view(torch.int16)
        torch.ge(draws[:, : kept.shape[1]], dropped - _DRAWS // 2, out=kept)
        kept.mul_(_DRAWS / (_DRAWS - dropped))


def last_state(rnn: nn.LSTM, x: Tensor, tapes: list[Tape]) -> Tensor:
    """(batch x hidden): the last layer's state after the last step, of (batch x length x columns).

    `tapes` are those of this net whose batches are done; the gradient gives its own back to them.
    """
    weights = [each for layer in rnn.all_weights for each in layer]
    return Recurrence.apply(x, rnn.dropout, tapes, *weights)


class Recurrence(Function):
    """All layers in one, since only the last state of the last has a slope of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dropout: float, tapes: list[Tape], *weights: Tensor) -> Tensor:
        batch, length, columns = x.shape
        tape = tapes.pop() if tapes else None
        if tape is None or tape.length != length or tape.rows < batch:
            tape = Tape(columns, weights[1].shape[1], len(weights) // _WEIGHTS_OF_A_LAYER, length, batch)
        for place, layer in enumerate(tape.layers):
            layer.load(*weights[_WEIGHTS_OF_A_LAYER * place :][:_WEIGHTS_OF_A_LAYER])
        ctx.shape, ctx.tape, ctx.tapes = x.shape, tape, tapes
        return tape.forward(x, dropout)

    # The decorator's type forgets that ctx has a name.
    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if ctx.tape is None:
            raise RuntimeError(
                "This gradient was asked for twice. The first time used up what it is made of; run forward again."
            )
        tape, ctx.tape = ctx.tape, None
        by_x = torch.empty(ctx.shape) if ctx.needs_input_grad[0] else None
        by_weights = tape.backward(slopes[0], by_x)
        ctx.tapes.append(tape)
        return by_x, None, None, *by_weights
