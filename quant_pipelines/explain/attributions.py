"""Contributions of columns to predictions. They add up: base + contributions + what is left = prediction."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.models import Task

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Parts:
    """What an explainer finds: `base` by output, `values` (rows x outputs x columns).

    `sessions` (rows x outputs x length) are the same contributions by session instead, oldest first; NaN in rows whose
    sessions are not told apart, None where none are.
    """

    method: str
    base: Vector
    values: Vector
    sessions: Vector | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Attributions:
    """Each column's part in each prediction, as (rows x outputs x columns).

    `predictions` are the model's own (rows x outputs): numbers, or probabilities of classes. Nothing is rounded away:
    what contributions and base do not reach is told by `left`.
    """

    columns: tuple[str, ...]
    predictions: Vector
    parts: Parts

    def __post_init__(self) -> None:
        shape = (*self.predictions.shape, len(self.columns))
        if self.values.shape != shape or self.base.shape != shape[1:2]:
            raise ValueError(f"Contributions {self.values.shape} and base {self.base.shape} do not fit {shape}.")

    def __len__(self) -> int:
        return len(self.predictions)

    @property
    def base(self) -> Vector:
        return self.parts.base

    @property
    def values(self) -> Vector:
        return self.parts.values

    @property
    def left(self) -> Vector:
        """What contributions do not explain (rows x outputs): rounding alone, unless an explainer is wrong."""
        return self.predictions - self.base - self.values.sum(axis=2)

    @property
    def largest_left(self) -> float:
        """The largest of it, relative to predictions above 1."""
        relative = np.abs(self.left) / np.maximum(1.0, np.abs(self.predictions))
        return float(relative.max(initial=0.0))

    def rows(self, chosen: Any) -> "Attributions":
        """Some of the rows."""
        sessions = None if self.parts.sessions is None else self.parts.sessions[chosen]
        parts = replace(self.parts, values=self.values[chosen], sessions=sessions)
        return replace(self, predictions=self.predictions[chosen], parts=parts)

    def of_score(self, task: Task) -> "Attributions":
        """Contributions to one number by which rows are ranked: it is linear in the outputs, so they still add up."""
        weights = score_weights(task)
        sessions = self.parts.sessions
        parts = replace(
            self.parts,
            base=_along(self.base[None, :], weights)[0],
            values=_along(self.values, weights),
            sessions=None if sessions is None else _along(sessions, weights),
        )
        return replace(self, predictions=_along(self.predictions, weights), parts=parts)


def score_weights(task: Task) -> Vector:
    """The score from the outputs: P(up) - P(down), or the sum of the returns, which compound only in second order."""
    weights = np.ones(task.outputs)
    if task.kind == "classes":
        weights[:] = 0.0
        weights[0], weights[-1] = -1.0, 1.0
    return weights


def score_is(task: Task) -> str:
    """The score's name, for people."""
    if task.kind == "classes":
        return "P(up) - P(down)"
    return "forecast" if task.outputs == 1 else f"sum of the {task.outputs} forecasts"


def _along(values: Vector, weights: Vector) -> Vector:
    """Outputs, the second axis, made one; one after the other, so that the order of additions is fixed."""
    total = np.zeros((values.shape[0], 1, *values.shape[2:]))
    for output, weight in enumerate(weights.tolist()):
        if weight:
            total[:, 0] += weight * values[:, output]
    return total
