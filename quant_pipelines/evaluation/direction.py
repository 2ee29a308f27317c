"""Down, neutral or up: what was forecast and what came, and measures of how often.

Counts are (..., 9): the rows that came down, neutral and up, each by down, neutral and up as forecast. There is a row.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.evaluation.failures import BadEvaluation
from quant_pipelines.evaluation.metrics import Judged, Vector
from quant_pipelines.models import Task

NAMES = ("down", "neutral", "up")
CELLS = len(NAMES) ** 2
_TWO, _THREE = 2, 3
# A return closer to an edge than this is on it, as in the labels.
_ON_THE_EDGE = 1e-12
Counts = NDArray[np.float64]
Classes = NDArray[np.int8]


class Edges(Protocol):
    """What counts as up and as down. The classes of a label set are such a value."""

    @property
    def up_above(self) -> float: ...

    @property
    def down_below(self) -> float | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Up is above one return, down below another; without the lower one whatever is not up is down."""

    up_above: float = 0.0
    down_below: float | None = None


SIGN = Thresholds()


@dataclass(frozen=True, eq=False, kw_only=True)
class Directions:
    """-1, 0 or 1 for every row."""

    forecast: Classes
    actual: Classes

    @property
    def cells(self) -> NDArray[np.int64]:
        """The place of each row among the nine counts."""
        return (self.actual.astype(np.int64) + 1) * len(NAMES) + self.forecast.astype(np.int64) + 1

    @property
    def counts(self) -> Counts:
        return np.bincount(self.cells, minlength=CELLS).astype(np.float64)


def directions(judged: Judged, edges: Edges = SIGN) -> Directions:
    """Of classes the most probable one; of numbers the class of the score and of the return, by the same edges."""
    if judged.task.kind == "classes":
        likeliest = np.argmax(judged.predictions, axis=1)
        return Directions(forecast=of_classes(likeliest, judged.task), actual=of_classes(judged.target, judged.task))
    return Directions(forecast=of_returns(judged.score, edges), actual=of_returns(judged.value, edges))


def of_returns(value: Vector, edges: Edges = SIGN) -> Classes:
    """The direction of each return; one on an edge is not beyond it."""
    up = value > edges.up_above + _ON_THE_EDGE
    if edges.down_below is None:
        return np.where(up, 1, -1).astype(np.int8)
    return up.astype(np.int8) - (value < edges.down_below - _ON_THE_EDGE).astype(np.int8)


def of_classes(numbers: NDArray[np.generic], task: Task) -> Classes:
    """The direction of class numbers, which count from down to up; of two classes none is neutral."""
    if task.outputs not in {_TWO, _THREE}:
        raise BadEvaluation(f"{task.outputs} classes are no directions. A label set has two of them, or three.")
    step = 2 if task.outputs == _TWO else 1
    return (np.asarray(numbers).astype(np.int64) * step - 1).astype(np.int8)


def accuracy(counts: Counts) -> Vector:
    """Share of rows whose class was forecast."""
    return over(_right(counts), counts.sum(axis=-1))


def f1(counts: Counts) -> Vector:
    """Of up: harmonic mean of precision and recall; 0 where up neither came nor was forecast."""
    came, forecast = _sides(counts)
    return 2.0 * counts[..., -1] / np.maximum(came[..., -1] + forecast[..., -1], 1.0)


def balanced_f1(counts: Counts) -> Vector:
    """Mean F1 of the classes that came or were forecast."""
    each = _f1_by_class(counts)
    there = ~np.isnan(each)
    return over(np.where(there, each, 0.0).sum(axis=-1), there.sum(axis=-1))


def mcc(counts: Counts) -> Vector:
    """Matthews' correlation of forecast and actual class; 0 where a side has one class only."""
    came, forecast = _sides(counts)
    rows = counts.sum(axis=-1)
    together = _right(counts) * rows - (came * forecast).sum(axis=-1)
    spread = (rows**2 - (came**2).sum(axis=-1)) * (rows**2 - (forecast**2).sum(axis=-1))
    return together / np.sqrt(np.where(spread > 0, spread, np.inf))


def shares(counts: Counts) -> dict[str, float]:
    """How often each direction was forecast."""
    forecast = _sides(counts)[1]
    return dict(zip(NAMES, (forecast / max(counts.sum(), 1.0)).tolist(), strict=True))


def over(part: NDArray[np.generic], whole: NDArray[np.generic]) -> Vector:
    """A ratio; NaN where there is nothing to divide by."""
    there = np.asarray(whole) != 0
    return np.where(there, np.asarray(part) / np.where(there, whole, 1.0), np.nan)


def _f1_by_class(counts: Counts) -> Vector:
    """NaN for a class that neither came nor was forecast."""
    came, forecast = _sides(counts)
    return over(2.0 * np.diagonal(_table(counts), axis1=-2, axis2=-1), came + forecast)


def _right(counts: Counts) -> Vector:
    return np.trace(_table(counts), axis1=-2, axis2=-1)


def _sides(counts: Counts) -> tuple[Counts, Counts]:
    """How often each class came, and how often it was forecast."""
    return _table(counts).sum(axis=-1), _table(counts).sum(axis=-2)


def _table(counts: Counts) -> Counts:
    return counts.reshape(*counts.shape[:-1], len(NAMES), len(NAMES))
