"""The six measures of S3-48, each against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from quant_pipelines.evaluation.failures import RowsDiffer
from quant_pipelines.evaluation.holdout import evaluate_model_on_holdout
from quant_pipelines.models import Description, History, Inputs, ModelSettings, Task

ROWS = 120


class Reader:
    """A model that forecasts what stands in its columns."""

    def __init__(self, task: Task) -> None:
        columns = tuple(f"forecast_{number}" for number in range(task.outputs))
        self.settings = ModelSettings(kind="reader", parameters={}, task=task, columns=columns)

    def fit(self, train, validation, fitting) -> History:
        return History(steps=(), best=0)

    def predict(self, inputs, machine=None) -> np.ndarray:
        return inputs.panel()

    def state(self) -> dict[str, bytes]:
        return {}

    def describe(self) -> Description:
        return Description(size=0)

    def inputs(self, forecasts: np.ndarray) -> Inputs:
        sessions = np.arange(ROWS) // 6
        columns = self.settings.columns
        return Inputs(block=forecasts.astype(np.float32), ends=np.arange(ROWS), sessions=sessions, columns=columns)


def returns_and_forecasts(outputs: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(4)
    returns = 0.02 * chance.standard_normal((ROWS, outputs))
    return returns, (returns + 0.02 * chance.standard_normal(returns.shape)).astype(np.float32)


@pytest.mark.parametrize("outputs", [1, 5])
def test_numbers_are_judged_as_scikit_learn_judges_them(outputs):
    returns, forecasts = returns_and_forecasts(outputs)
    whole, forecast = np.prod(1 + returns, axis=1) - 1, np.prod(1 + forecasts.astype(np.float64), axis=1) - 1
    up = (whole > 0).astype(np.int64)
    model = Reader(Task(outputs=outputs))
    found = evaluate_model_on_holdout(model, model.inputs(forecasts), up, returns)
    assert found == pytest.approx(
        {
            "accuracy": oracle.accuracy_score(up, forecast > 0),
            "f1": oracle.f1_score(up, forecast > 0),
            "mse": oracle.mean_squared_error(returns, forecasts),
            "mae": oracle.mean_absolute_error(returns, forecasts),
            "rmse": np.sqrt(oracle.mean_squared_error(returns, forecasts)),
            "direction_accuracy": oracle.accuracy_score(np.sign(whole), np.sign(forecast)),
        },
        rel=1e-5,
    )


@pytest.mark.parametrize("outputs", [2, 3])
def test_classes_too(outputs):
    chance = np.random.default_rng(5)
    returns = 0.02 * chance.standard_normal(ROWS)
    y_dir = np.digitize(returns, [0.0] if outputs == 2 else [-0.005, 0.005])
    given = chance.dirichlet(np.ones(outputs), ROWS).astype(np.float32)
    model = Reader(Task(kind="classes", outputs=outputs))
    found = evaluate_model_on_holdout(model, model.inputs(given), y_dir, returns)
    came, likeliest = np.eye(outputs)[y_dir], given.argmax(axis=1)
    assert found == pytest.approx(
        {
            "accuracy": oracle.accuracy_score(y_dir, likeliest),
            "f1": oracle.f1_score(y_dir == outputs - 1, likeliest == outputs - 1),
            "mse": oracle.mean_squared_error(came, given),
            "mae": oracle.mean_absolute_error(came, given),
            "rmse": np.sqrt(oracle.mean_squared_error(came, given)),
            "direction_accuracy": oracle.accuracy_score(np.sign(returns), np.sign(given[:, -1] - given[:, 0])),
        },
        rel=1e-5,
    )


def test_the_direction_is_the_one_that_was_given():
    returns, forecasts = returns_and_forecasts(1)
    model = Reader(Task())
    up = (returns[:, 0] > 0).astype(np.int64)
    found = evaluate_model_on_holdout(model, model.inputs(forecasts), 1 - up, returns)
    turned = evaluate_model_on_holdout(model, model.inputs(forecasts), up, returns)
    assert found["accuracy"] == pytest.approx(1 - turned["accuracy"])
    assert found["mse"] == turned["mse"]


def test_one_forecast_that_is_no_number_is_not_overlooked():
    returns, forecasts = returns_and_forecasts(1)
    forecasts[7] = np.nan
    model = Reader(Task())
    found = evaluate_model_on_holdout(model, model.inputs(forecasts), (returns[:, 0] > 0).astype(np.int64), returns)
    assert set(found.values()) == {None}


def test_other_rows_and_other_classes_are_refused():
    returns, forecasts = returns_and_forecasts(1)
    model = Reader(Task())
    with pytest.raises(RowsDiffer, match="120 forecasts have 119 directions"):
        evaluate_model_on_holdout(model, model.inputs(forecasts), np.ones(ROWS - 1, np.int64), returns)
    with pytest.raises(RowsDiffer, match=r"y_dir holds \[2\]"):
        evaluate_model_on_holdout(model, model.inputs(forecasts), np.full(ROWS, 2), returns)
