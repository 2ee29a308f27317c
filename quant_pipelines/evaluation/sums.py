"""Every measure as a function of sums over sessions, so that other sessions can be drawn without reading rows again.

A forecast that is no number turns the sums of its session into NaN, and so every measure that it enters.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.evaluation import direction
from quant_pipelines.evaluation.direction import SIGN, Edges, directions, over
from quant_pipelines.evaluation.failures import RowsDiffer
from quant_pipelines.evaluation.metrics import Judged, Vector, by_session, ranked_by_session

Matrix = NDArray[np.float64]
Sums = Mapping[str, Matrix]
# A spread of ICs below this share of their size is rounding.
_ROUNDING = 1e-12
# What five daily forecasts of this size make together can still be squared and summed up.
_LARGEST = 1e30


@dataclass(frozen=True, eq=False, kw_only=True)
class Rows:
    """Forecasts that are numbers, or NaN throughout a row, and what came, which is known."""

    judged: Judged
    edges: Edges
    finite: NDArray[np.bool_]

    @classmethod
    def of(cls, judged: Judged, edges: Edges) -> "Rows":
        require_rows(judged)
        finite = are_numbers(judged.predictions)
        if not finite.all():
            known = judged.predictions.copy()
            known[~finite] = np.nan
            judged = replace(judged, predictions=known)
        return cls(judged=judged, edges=edges, finite=finite)

    @cached_property
    def session(self) -> NDArray[np.int64]:
        """The place of each row's session among those that there are."""
        return np.unique(self.judged.sessions, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def sessions(self) -> int:
        return int(self.session.max()) + 1

    @cached_property
    def score(self) -> Vector:
        return self.judged.score

    @cached_property
    def misses(self) -> Matrix:
        """How far off: returns, or probabilities from 0 and 1."""
        if self.judged.task.kind == "numbers":
            return self.judged.miss.reshape(len(self.finite), -1)
        came = np.eye(self.judged.task.outputs)[self.judged.target.astype(np.int64)]
        return self.judged.predictions.astype(np.float64) - came

    def summed(self, *columns: Vector) -> Matrix:
        """(sessions x columns)."""
        sums = [np.bincount(self.session, column, self.sessions) for column in columns]
        return np.stack(sums, axis=1).astype(np.float64, copy=False)


def are_numbers(predictions: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each row's forecast is: neither NaN nor infinite, nor too large to reckon with."""
    # A row's largest is NaN where one of them is, and a comparison with NaN is false.
    return np.less_equal(np.abs(predictions).reshape(len(predictions), -1).max(axis=1, initial=0.0), _LARGEST)


def require_rows(judged: Judged) -> None:
    """Refuse rows that do not fit together, and outcomes that are not known."""
    rows, outputs = judged.value.size, judged.task.outputs
    wanted = (rows, outputs) if judged.task.kind == "numbers" else (rows,)
    shapes = judged.predictions.shape, judged.target.shape, judged.value.shape, judged.sessions.shape
    if not rows or shapes != ((rows, outputs), wanted, (rows,), (rows,)):
        raise RowsDiffer(
            f"Forecasts, targets, returns and sessions have shapes {', '.join(map(str, shapes))}. Give {outputs} "
            f"{judged.task.kind} per row for the first, and a row at least."
        )
    unknown = int((~np.isfinite(judged.value)).sum() + (~np.isfinite(judged.target)).sum())
    if unknown:
        raise RowsDiffer(f"{unknown} outcomes are NaN or infinite. Leave out rows whose label is not known.")
    if judged.task.kind == "classes" and not (judged.target.min() >= 0 and judged.target.max() < outputs):
        raise RowsDiffer(
            f"Classes reach from {judged.target.min()} to {judged.target.max()}; {outputs} of them count from 0."
        )


def _counts(rows: Rows) -> Matrix:
    found = directions(rows.judged, rows.edges)
    places = rows.session * direction.CELLS + found.cells
    counts = np.bincount(places, minlength=rows.sessions * direction.CELLS).astype(np.float64)
    counts = counts.reshape(rows.sessions, direction.CELLS)
    counts[rows.session[~rows.finite]] = np.nan
    return counts


def _errors(rows: Rows) -> Matrix:
    squared, absolute = np.mean(rows.misses**2, axis=1), np.mean(np.abs(rows.misses), axis=1)
    return rows.summed(squared, absolute, np.ones(squared.size))


def _surprise(rows: Rows) -> Matrix:
    """-log of the probability that was given to what came. Numbers give none."""
    if rows.judged.task.kind == "numbers":
        return np.zeros((rows.sessions, 2))
    target = rows.judged.target.astype(np.int64)
    given = rows.judged.predictions[np.arange(target.size), target].astype(np.float64)
    return rows.summed(-np.log(np.maximum(given, np.finfo(np.float32).tiny)), np.ones(target.size))


def _pointed(rows: Rows) -> Matrix:
    value = rows.judged.value
    moved = value != 0
    right = np.where(rows.finite, np.sign(rows.score) == np.sign(value), np.nan)
    return rows.summed(np.where(moved, right, 0.0), moved.astype(np.float64))


def _correlated(correlate: Callable[[Vector, Vector, NDArray[np.int64]], Vector]) -> Callable[[Rows], Matrix]:
    def of(rows: Rows) -> Matrix:
        series = correlate(rows.score, rows.judged.value, rows.session)
        known = ~np.isnan(series)
        found = np.where(known, series, 0.0)
        sums = np.stack([found, found * found, known.astype(np.float64)], axis=1)
        if not rows.finite.all():
            # Such a session counts as unknown only if it would have been ranked.
            ranks = ~np.isnan(by_session(rows.judged.value, rows.judged.value, rows.session))
            holds = np.bincount(rows.session[~rows.finite], minlength=rows.sessions) > 0
            sums[ranks & holds] = np.nan
        return sums

    return of


_SUMS: Mapping[str, Callable[[Rows], Matrix]] = {
    "counts": _counts,
    "errors": _errors,
    "surprise": _surprise,
    "pointed": _pointed,
    "ic": _correlated(by_session),
    "rank_ic": _correlated(ranked_by_session),
}


def session_sums(judged: Judged, edges: Edges = SIGN) -> Sums:
    """By name (sessions x columns), the sessions in their order. `edges` say what is up and down where returns are
    forecast."""
    rows = Rows.of(judged, edges)
    return {name: summed(rows) for name, summed in _SUMS.items()}


def _mean(sums: Matrix) -> Vector:
    """The first column over the last one, which counts."""
    return over(sums[..., 0], sums[..., -1])


def _rmse(sums: Matrix) -> Vector:
    return np.sqrt(_mean(sums))


def _mae(sums: Matrix) -> Vector:
    return over(sums[..., 1], sums[..., -1])


def _icir(sums: Matrix) -> Vector:
    total, squares, known = np.moveaxis(sums, -1, 0)
    spread = squares - np.square(total) / np.maximum(known, 1.0)
    varies = spread > _ROUNDING * squares
    deviation = np.sqrt(np.where(varies, spread, 0.0) / np.maximum(known - 1.0, 1.0))
    return over(_mean(sums), deviation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What a measure is of, as a function of sums (... x columns), and between which values it lies.

    `nothing` is what a model is expected to show that knows nothing, whatever its habits; null where that depends.
    """

    of: str
    value: Callable[[Matrix], Vector]
    least: float = 0.0
    most: float = np.inf
    nothing: float | None = None
    rises: bool = True
    kinds: tuple[Literal["numbers", "classes"], ...] = ("numbers", "classes")

    def __call__(self, sums: Sums) -> Vector:
        """NaN where a forecast in it is no number, or nothing was counted."""
        given = sums[self.of]
        unknown = np.isnan(given).any(axis=-1) | (given == 0).all(axis=-1)
        if not unknown.any():
            return self.value(given)
        return np.where(unknown, np.nan, self.value(np.where(unknown[..., None], 0.0, given)))


# `rises`: more of it is better.
MEASURES: Mapping[str, Measure] = {
    "accuracy": Measure(of="counts", value=direction.accuracy, most=1.0),
    "f1": Measure(of="counts", value=direction.f1, most=1.0),
    "balanced_f1": Measure(of="counts", value=direction.balanced_f1, most=1.0),
    "mcc": Measure(of="counts", value=direction.mcc, least=-1.0, most=1.0, nothing=0.0),
    "mse": Measure(of="errors", value=_mean, rises=False),
    "mae": Measure(of="errors", value=_mae, rises=False),
    "rmse": Measure(of="errors", value=_rmse, rises=False),
    "log_loss": Measure(of="surprise", value=_mean, rises=False, kinds=("classes",)),
    "direction_accuracy": Measure(of="pointed", value=_mean, most=1.0),
    "ic": Measure(of="ic", value=_mean, least=-1.0, most=1.0, nothing=0.0),
    "rank_ic": Measure(of="rank_ic", value=_mean, least=-1.0, most=1.0, nothing=0.0),
    "icir": Measure(of="ic", value=_icir, least=-np.inf),
}


def measures_for(kind: str) -> dict[str, Measure]:
    """The measures that a task of this kind has."""
    return {name: measure for name, measure in MEASURES.items() if kind in measure.kinds}


def totals(sums: Sums) -> Sums:
    """Over all sessions."""
    return {name: each.sum(axis=0) for name, each in sums.items()}


def holdout_measures(judged: Judged, edges: Edges = SIGN) -> dict[str, float | None]:
    """Every measure that the task has; None where these rows have no number for it."""
    found = totals(session_sums(judged, edges))
    values = {name: float(measure(found)) for name, measure in measures_for(judged.task.kind).items()}
    return {name: value if np.isfinite(value) else None for name, value in values.items()}
