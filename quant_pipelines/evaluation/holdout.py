"""One model on rows that it has not seen, by the six measures that the user named (S3-48)."""

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.evaluation.direction import Directions, directions, of_classes
from quant_pipelines.evaluation.failures import RowsDiffer
from quant_pipelines.evaluation.metrics import Judged
from quant_pipelines.evaluation.sums import MEASURES, are_numbers, session_sums, totals
from quant_pipelines.models import ONE_THREAD, Forecaster, Inputs, Machine, Task

_NAMED = ("accuracy", "f1", "mse", "mae", "rmse", "direction_accuracy")
_SIGNS = Task(kind="classes", outputs=2)
_MATRIX = 2


def evaluate_model_on_holdout(
    model: Forecaster,
    inputs: Inputs,
    y_dir: NDArray[np.integer],
    y_mag: NDArray[np.floating],
    device: Machine = ONE_THREAD,
) -> dict[str, float | None]:
    """accuracy, f1, mse, mae, rmse and direction_accuracy; None where a forecast is no number.

    `y_dir` holds class numbers, from 0 for down; `y_mag` the returns (rows x outputs). A model of numbers forecasts up
    where the return over its whole horizon is above 0, else down, and a model of classes misses by its probabilities.
    """
    judged = _judged(model, inputs, y_dir, y_mag, device)
    sums = totals(session_sums(judged))
    if judged.task.kind == "numbers" and are_numbers(judged.predictions).all():
        actual = of_classes(y_dir, _SIGNS)
        _require_signs(y_dir)
        sums = {**sums, "counts": Directions(forecast=directions(judged).forecast, actual=actual).counts}
    values = {name: float(MEASURES[name](sums)) for name in _NAMED}
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def _judged(
    model: Forecaster, inputs: Inputs, y_dir: NDArray[np.integer], y_mag: NDArray[np.floating], device: Machine
) -> Judged:
    task, predictions = model.settings.task, model.predict(inputs, device)
    returns = np.asarray(y_mag, np.float64)
    returns = returns if returns.ndim == _MATRIX else returns[:, None]
    if not len(predictions) == len(y_dir) == len(returns):
        raise RowsDiffer(
            f"{len(predictions)} forecasts have {len(y_dir)} directions and {len(returns)} returns. Give one per row."
        )
    return Judged(
        task=task,
        predictions=predictions,
        target=np.asarray(y_dir, np.int64) if task.kind == "classes" else returns.astype(np.float32),
        value=np.prod(1.0 + returns, axis=1) - 1.0,
        sessions=inputs.sessions,
    )


def _require_signs(y_dir: NDArray[np.integer]) -> None:
    strange = np.setdiff1d(y_dir, (0, 1))
    if strange.size:
        raise RowsDiffer(f"y_dir holds {strange.tolist()}. Beside a model of numbers it is 0 for down and 1 for up.")
