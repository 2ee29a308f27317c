"""How each kind of model is explained: a table of explainers, and Shapley values for every other kind."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from quant_pipelines.explain.attributions import Attributions, Parts
from quant_pipelines.explain.gradients import Differentiable, integrated_gradients
from quant_pipelines.explain.question import Question
from quant_pipelines.explain.settings import ExplanationRefused
from quant_pipelines.explain.shapley import shapley
from quant_pipelines.models import Forecaster

Explainer = Callable[[Forecaster, Question], Parts]


def explain(model: Forecaster, question: Question) -> Attributions:
    """Each column's part in each prediction. Equal models, rows and settings explain equally, bit for bit."""
    if not len(question):
        raise ExplanationRefused("There is no row to explain. Choose rows that the model can predict.")
    explainer = EXPLAINERS.get(model.settings.kind, shapley)
    return Attributions(
        columns=question.inputs.columns,
        predictions=model.predict(question.inputs, question.machine).astype(np.float64),
        parts=explainer(model, question),
    )


def _lightgbm(model: Forecaster, question: Question) -> Parts:
    """LightGBM's own contributions."""
    from quant_pipelines.models.boosters.lightgbm import LightGBM

    booster = cast("LightGBM", model).booster
    panel, threads = question.inputs.panel(), question.machine.threads
    return _of_trees(booster.predict(panel, pred_contrib=True, num_threads=threads))


def _xgboost(model: Forecaster, question: Question) -> Parts:
    """XGBoost's own contributions, in single precision."""
    import xgboost

    from quant_pipelines.models.boosters.xgboost import XGBoost

    booster, threads = cast("XGBoost", model).booster, question.machine.threads
    booster.set_param({"nthread": threads})
    matrix = xgboost.DMatrix(question.inputs.panel(), nthread=threads)
    return _of_trees(booster.predict(matrix, pred_contribs=True))


def _of_trees(native: Any) -> Parts:
    """A column each, and the base as the last, the same in every row.

    What is unknown is averaged by how many training rows went into each branch, so there is no reference.
    """
    found = np.asarray(native, np.float64)
    return Parts(method="SHAP values of the trees", base=found[0, -1:], values=found[:, None, :-1])


def _linear(model: Forecaster, question: Question) -> Parts:
    """Coefficient times distance from the mean training row: the Shapley value of a line."""
    from quant_pipelines.models.linear import Linear

    coefficients, intercept = cast("Linear", model).fitted
    (centre,) = question.reference.astype(np.float64)
    values = (question.inputs.panel().astype(np.float64) - centre) * coefficients
    base = np.array([float(np.sum(centre * coefficients)) + float(intercept[0])])
    return Parts(method="coefficients against the mean training row", base=base, values=values[:, None, :])


def _net(model: Forecaster, question: Question) -> Parts:
    return integrated_gradients(cast("Differentiable", model), question)


_NETS = ("mlp", "lstm", "transformer", "informer", "timesnet", "patchtst", "tabnet")
EXPLAINERS: Mapping[str, Explainer] = {
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "linear": _linear,
    **dict.fromkeys(_NETS, _net),
}
