"""Measures of forecasts against what came. Correlations are taken within each session and then averaged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.models import Task
from quant_pipelines.validation import FEWEST_NAMES, block_correlations

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Judged:
    """Forecasts and outcomes, row by row: `score` ranks, `value` is the return that it should have ranked."""

    task: Task
    predictions: NDArray[np.float32]
    target: NDArray[np.float32 | np.int64]
    value: Vector
    sessions: NDArray[np.int64]

    @property
    def score(self) -> Vector:
        return self.task.signal(self.predictions)

    @property
    def miss(self) -> Vector:
        return (self.predictions - self.target).astype(np.float64)


def mse(judged: Judged) -> float:
    return float(np.mean(judged.miss**2))


def rmse(judged: Judged) -> float:
    return float(np.sqrt(mse(judged)))


def mae(judged: Judged) -> float:
    return float(np.mean(np.abs(judged.miss)))


def accuracy(judged: Judged) -> float:
    return float(np.mean(np.argmax(judged.predictions, axis=1) == judged.target))


def log_loss(judged: Judged) -> float:
    """Mean -log of the probability that was given to what came."""
    given = judged.predictions[np.arange(len(judged.target)), judged.target.astype(np.int64)].astype(np.float64)
    return float(-np.mean(np.log(np.maximum(given, np.finfo(np.float32).tiny))))


def direction_accuracy(judged: Judged) -> float:
    """Share of rows whose return went where the score pointed, among those that went anywhere."""
    moved = judged.value != 0
    return float(np.mean(np.sign(judged.score[moved]) == np.sign(judged.value[moved]))) if moved.any() else np.nan


def ic(judged: Judged) -> float:
    return _mean(by_session(judged.score, judged.value, judged.sessions))


def rank_ic(judged: Judged) -> float:
    return _mean(ranked_by_session(judged.score, judged.value, judged.sessions))


def icir(judged: Judged) -> float:
    """Mean over deviation of the sessions' ICs, not annualised."""
    series = by_session(judged.score, judged.value, judged.sessions)
    series = series[~np.isnan(series)]
    deviation = series.std(ddof=1) if series.size > 1 else 0.0
    return float(series.mean() / deviation) if deviation > 0 else np.nan


_NUMBERS: Mapping[str, Callable[[Judged], float]] = {"mse": mse, "rmse": rmse, "mae": mae}
_CLASSES: Mapping[str, Callable[[Judged], float]] = {"accuracy": accuracy, "log_loss": log_loss}
_BOTH: Mapping[str, Callable[[Judged], float]] = {
    "direction_accuracy": direction_accuracy,
    "ic": ic,
    "rank_ic": rank_ic,
    "icir": icir,
}


def measured(judged: Judged) -> dict[str, float]:
    """Every measure that the task has and that these rows allow."""
    if not len(judged.value):
        return {}
    measures = {**(_CLASSES if judged.task.kind == "classes" else _NUMBERS), **_BOTH}
    found = {name: measure(judged) for name, measure in measures.items()}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def by_session(score: Vector, value: Vector, sessions: NDArray[np.int64]) -> Vector:
    """Pearson correlation of each session, in their order; NaN where a side is constant or names are too few."""
    return block_correlations(score, value, sessions, fewest=FEWEST_NAMES)


def ranked_by_session(score: Vector, value: Vector, sessions: NDArray[np.int64]) -> Vector:
    """Spearman correlation of each session, ties averaged."""
    return by_session(_ranks(score, sessions), _ranks(value, sessions), sessions)


def _ranks(values: Vector, sessions: NDArray[np.int64]) -> Vector:
    """Ranks within each session, ties averaged."""
    # Two sorts, by value and then by session: lexsort takes three times as long.
    order = np.argsort(values)
    order = order[np.argsort(sessions[order], kind="stable")]
    ordered, session = np.asarray(values)[order], sessions[order]
    begins = np.append(True, session[1:] != session[:-1])
    new = begins | np.append(True, ordered[1:] != ordered[:-1])
    tie = np.cumsum(new) - 1
    first = np.flatnonzero(new)
    last = np.append(first[1:], order.size) - 1
    start = np.flatnonzero(begins)[np.cumsum(begins) - 1]
    out = np.empty(order.size)
    out[order] = ((first + last) / 2)[tie] - start
    return out


def _mean(series: Vector) -> float:
    """The mean of the sessions that could be ranked; NaN where there is none."""
    known = series[~np.isnan(series)]
    return float(known.mean()) if known.size else np.nan
