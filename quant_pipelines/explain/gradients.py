"""Integrated gradients of a net: what each column adds on the straight way from the reference to a row.

In double precision, and row by row: every batch has the size that this one row asks for, so no explanation depends
on its company. What a net predicts is explained: returns, or probabilities after the softmax.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.explain.attributions import Parts, Vector
from quant_pipelines.explain.question import Question
from quant_pipelines.explain.settings import ExplainSettings

if TYPE_CHECKING:
    from torch import Tensor

# Gauss-Legendre on each piece of the way: exact there for polynomials up to degree 15.
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(8)
_FIRST_PIECES = 2
_PIECES_AT_ONCE = 16
# Pieces that miss less than this part of what is allowed are left as they are.
_SMALL = 1 / 64


class Objective(Protocol):
    """What a net was trained for: `answer` makes predictions of what it emits."""

    def answer(self, raw: "Tensor") -> "Tensor": ...


class Learned(Protocol):
    """A fitted torch module with these two modules inside."""

    @property
    def net(self) -> Any: ...
    @property
    def objective(self) -> Objective: ...


class Differentiable(Protocol):
    """What a net's forecaster must offer to be explained by gradients."""

    @property
    def fitted(self) -> Learned: ...


def integrated_gradients(model: Differentiable, question: Question) -> tuple[Parts, NDArray[np.bool_]]:
    """Contributions of columns, summed over sessions, and of sessions, summed over columns; and which rows add up."""
    import torch

    inputs = question.inputs
    before = torch.get_num_threads()
    # On the CPU wherever it was trained: a GPU adds up in another order from run to run.
    torch.set_num_threads(question.machine.threads)
    try:
        net = _Function(model)
        start = question.reference.astype(np.float64)
        base = net.values(start[None])[0]
        values = np.empty((len(inputs), base.size, len(inputs.columns)))
        sessions, complete = np.empty((len(inputs), base.size, inputs.length)), np.empty(len(inputs), bool)
        for row in range(len(inputs)):
            (window,) = inputs.sequences(slice(row, row + 1)).astype(np.float64)
            way = _Way(net=net, start=start, step=window - start, settings=question.settings)
            found, complete[row] = way.integral()
            values[row], sessions[row] = found.sum(axis=1), found.sum(axis=2)
    finally:
        torch.set_num_threads(before)
    parts = Parts(method="integrated gradients", base=base, values=values, sessions=sessions)
    return (parts if inputs.length > 1 else replace(parts, sessions=None)), complete


class _Function:
    """A fitted net in double precision, with values and gradients as arrays. The model itself is not touched."""

    def __init__(self, model: Differentiable) -> None:
        learner: Any = copy.deepcopy(model.fitted)
        learner.double().eval()
        learner.requires_grad_(requires_grad=False)
        self._net, self._answer = learner.net, learner.objective.answer

    def values(self, points: Vector) -> Vector:
        """(points x outputs) at (points x length x columns)."""
        import torch

        with torch.no_grad():
            found: Vector = self._answer(self._net(torch.from_numpy(points))).numpy()
        return found

    def gradients(self, points: Vector) -> Iterator[Vector]:
        """(points x length x columns) for each output."""
        import torch

        at = torch.from_numpy(points).requires_grad_()
        found = self._answer(self._net(at))
        for output in range(found.shape[1]):
            last = output + 1 == found.shape[1]
            (gradient,) = torch.autograd.grad(found[:, output].sum(), at, retain_graph=not last)
            yield gradient.numpy()


@dataclass(kw_only=True)
class _Way:
    """From the reference to one row. Pieces on which contributions miss the net's own change are halved."""

    net: _Function
    start: Vector
    step: Vector
    settings: ExplainSettings
    _known: dict[float, Vector] = field(default_factory=dict[float, Vector])

    def integral(self) -> tuple[Vector, bool]:
        """(outputs x length x columns), and whether it adds up to the net's own change."""
        edges = np.linspace(0.0, 1.0, _FIRST_PIECES + 1)
        pieces = np.stack([edges[:-1], edges[1:]], axis=1)
        ends = self._at(edges[[0, -1]])
        allowed = self.settings.tolerance * max(1.0, float(np.abs(ends).max())) / 2
        total, steps = np.zeros((ends.shape[1], *self.step.shape)), 0
        while True:
            found = self._contributions(pieces)
            whole = total + found.sum(axis=0)
            complete = bool(np.abs(whole.sum(axis=(1, 2)) - (ends[1] - ends[0])).max() <= allowed)
            missed = np.abs(found.sum(axis=(2, 3)) - self._changes(pieces)).max(axis=1)
            rest = np.argsort(-missed, kind="stable")[: max(1, int((missed > allowed * _SMALL).sum()))]
            steps += len(pieces) * _NODES.size
            if complete or steps + 2 * rest.size * _NODES.size > self.settings.most_steps:
                return whole, complete
            total += np.delete(found, rest, axis=0).sum(axis=0)
            pieces = _halved(pieces[rest])

    def _contributions(self, pieces: Vector) -> Vector:
        """(pieces x outputs x length x columns): mean gradient of each piece, times its part of the way."""
        chunks = [pieces[first : first + _PIECES_AT_ONCE] for first in range(0, len(pieces), _PIECES_AT_ONCE)]
        return np.concatenate([self._of_chunk(chunk) for chunk in chunks])

    def _of_chunk(self, pieces: Vector) -> Vector:
        half = (pieces[:, 1] - pieces[:, 0])[:, None] / 2
        places = (pieces.mean(axis=1)[:, None] + half * _NODES).ravel()
        weights = (half * _NODE_WEIGHTS)[:, :, None, None]
        gradients = self.net.gradients(self._points(places))
        shape = (len(pieces), _NODES.size, *self.step.shape)
        return np.stack([(weights * each.reshape(shape)).sum(axis=1) * self.step for each in gradients], axis=1)

    def _changes(self, pieces: Vector) -> Vector:
        """What the net itself changes by on each piece (pieces x outputs)."""
        return self._at(pieces[:, 1]) - self._at(pieces[:, 0])

    def _at(self, places: Vector) -> Vector:
        missing = [each for each in dict.fromkeys(places.tolist()) if each not in self._known]
        for first in range(0, len(missing), _PIECES_AT_ONCE):
            chunk = missing[first : first + _PIECES_AT_ONCE]
            self._known.update(zip(chunk, self.net.values(self._points(np.array(chunk))), strict=True))
        return np.array([self._known[each] for each in places.tolist()])

    def _points(self, places: NDArray[np.float64]) -> Vector:
        return self.start + places[:, None, None] * self.step


def _halved(pieces: Vector) -> Vector:
    middles = pieces.mean(axis=1)
    return np.concatenate([np.stack([pieces[:, 0], middles], 1), np.stack([middles, pieces[:, 1]], 1)])
