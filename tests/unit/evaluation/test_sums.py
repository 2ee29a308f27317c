"""Measures made of session sums agree with measures of rows, and nothing that is no number gets lost."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as oracle

from quant_pipelines.evaluation.failures import RowsDiffer
from quant_pipelines.evaluation.metrics import Judged, measured
from quant_pipelines.evaluation.sums import MEASURES, holdout_measures, measures_for, session_sums, totals
from quant_pipelines.models import Task

TASKS = {
    "one": Task(),
    "path": Task(outputs=5),
    "two": Task(kind="classes", outputs=2),
    "three": Task(kind="classes", outputs=3),
}
HOLDOUT = {"accuracy", "f1", "balanced_f1", "mcc", "mse", "mae", "rmse", "direction_accuracy", "ic", "rank_ic", "icir"}


def judged(task: Task, seed: int = 3, sessions: int = 12) -> Judged:
    chance = np.random.default_rng(seed)
    session = chance.permutation(np.repeat(np.arange(sessions) * 5, chance.integers(2, 30, sessions)))
    returns = 0.02 * chance.standard_normal((session.size, task.outputs if task.kind == "numbers" else 1))
    returns[::9] = 0.0
    value = np.prod(1.0 + returns, axis=1) - 1.0
    if task.kind == "numbers":
        target, given = returns.astype(np.float32), returns + 0.02 * chance.standard_normal(returns.shape)
    else:
        target = np.digitize(value, np.linspace(-0.01, 0.01, task.outputs - 1)).astype(np.int64)
        given = chance.random((session.size, task.outputs)) + np.eye(task.outputs)[target]
        given /= given.sum(axis=1, keepdims=True)
    return Judged(task=task, predictions=given.astype(np.float32), target=target, value=value, sessions=session)


@pytest.mark.parametrize("name", TASKS)
def test_a_holdout_has_its_measures_and_those_of_trainings_agree(name):
    rows = judged(TASKS[name])
    found = holdout_measures(rows)
    assert set(found) - {"log_loss"} == HOLDOUT
    assert ("log_loss" in found) == (TASKS[name].kind == "classes")
    trained = measured(rows)
    assert {each: found[each] for each in trained} == pytest.approx(trained, rel=1e-6)


@pytest.mark.parametrize("name", TASKS)
def test_errors_are_those_of_scikit_learn(name):
    rows = judged(TASKS[name])
    came = rows.target if rows.task.kind == "numbers" else np.eye(rows.task.outputs)[rows.target]
    found = holdout_measures(rows)
    assert found["mse"] == pytest.approx(oracle.mean_squared_error(came, rows.predictions), rel=1e-5)
    assert found["mae"] == pytest.approx(oracle.mean_absolute_error(came, rows.predictions), rel=1e-5)
    assert found["rmse"] == pytest.approx(np.sqrt(oracle.mean_squared_error(came, rows.predictions)), rel=1e-5)
    if rows.task.kind == "classes":
        assert found["log_loss"] == pytest.approx(oracle.log_loss(rows.target, rows.predictions), rel=1e-5)
        assert found["accuracy"] == pytest.approx(oracle.accuracy_score(rows.target, rows.predictions.argmax(axis=1)))


@pytest.mark.parametrize("name", TASKS)
def test_drawing_a_session_twice_is_having_its_rows_twice(name):
    """The names of a session stay together: the copy is a session of its own."""
    rows = judged(TASKS[name])
    places = np.unique(rows.sessions)
    times = np.random.default_rng(0).integers(0, 3, places.size).astype(np.float64)
    sums = {each: times @ summed for each, summed in session_sums(rows).items()}
    copies = [
        (np.flatnonzero(rows.sessions == place), 1000 * copy + place)
        for place, count in zip(places, times, strict=True)
        for copy in range(int(count))
    ]
    drawn = np.concatenate([chosen for chosen, _ in copies])
    copied = replace(
        rows,
        predictions=rows.predictions[drawn],
        target=rows.target[drawn],
        value=rows.value[drawn],
        sessions=np.concatenate([np.full(chosen.size, label) for chosen, label in copies]),
    )
    found = {each: float(measure(sums)) for each, measure in measures_for(rows.task.kind).items()}
    assert found == pytest.approx(holdout_measures(copied), rel=1e-9)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("name", TASKS)
def test_a_forecast_that_is_no_number_leaves_no_number(name, wrong):
    rows = judged(TASKS[name])
    session = np.flatnonzero(np.bincount(rows.sessions) >= 3)[0]
    at = np.flatnonzero((rows.sessions == session) & (rows.value != 0))[0]
    given = rows.predictions.copy()
    given[at, 0] = wrong
    found = holdout_measures(replace(rows, predictions=given))
    assert set(found.values()) == {None}


def test_measures_that_a_forecast_does_not_enter_stay():
    rows = judged(Task())
    lone = replace(rows, sessions=np.where(np.arange(rows.value.size) == 0, 999, rows.sessions))
    given = lone.predictions.copy()
    given[0] = np.nan
    still = lone.value.copy()
    still[0] = 0.0
    found = holdout_measures(replace(lone, predictions=given, value=still))
    assert found["mse"] is None
    assert found["f1"] is None
    assert found["ic"] is not None  # one name ranks nothing
    assert found["direction_accuracy"] is not None  # it went nowhere


def test_constant_forecasts_have_no_correlation():
    rows = judged(Task())
    found = holdout_measures(replace(rows, predictions=np.full_like(rows.predictions, 0.01)))
    assert found["ic"] is None
    assert found["icir"] is None
    assert found["mcc"] == 0


def test_unknown_outcomes_are_refused():
    rows = judged(Task())
    with pytest.raises(RowsDiffer, match="1 outcomes are NaN"):
        session_sums(replace(rows, value=np.where(np.arange(rows.value.size) == 2, np.nan, rows.value)))
    classes = judged(TASKS["three"])
    with pytest.raises(RowsDiffer, match="Classes reach from -1 to 1"):
        session_sums(replace(classes, target=classes.target - 1))


def test_rows_that_do_not_fit_are_refused():
    rows = judged(Task())
    wrong = {
        "predictions": rows.predictions[:-1],
        "target": rows.target[:, 0],
        "value": rows.value[:, None],
        "sessions": rows.sessions[1:],
    }
    for name, values in wrong.items():
        with pytest.raises(RowsDiffer, match="a row at least"):
            session_sums(replace(rows, **{name: values}))
    nothing = {name: getattr(rows, name)[:0] for name in wrong}
    with pytest.raises(RowsDiffer, match="a row at least"):
        session_sums(replace(rows, **nothing))


def test_nothing_counted_is_no_number():
    empty = {name: np.zeros_like(each) for name, each in totals(session_sums(judged(Task()))).items()}
    assert all(np.isnan(measure(empty)) for measure in MEASURES.values())
