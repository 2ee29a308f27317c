"""How each kind of model is explained: a table of explainers, and Shapley values for every other kind."""

from collections.abc import Callable, Mapping
from dataclasses import replace
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
    """Integrated gradients; Shapley values for rows where these do not add up, since the net bends or jumps too much.

    Both are ways from the same reference to the same row, straight or column by column. Which one is taken depends
    on the row alone.
    """
    parts, complete = integrated_gradients(cast("Differentiable", model), question)
    bent = np.flatnonzero(~complete)
    if not bent.size:
        return replace(parts, method=f"{parts.method} from the mean training row")
    values, sessions = parts.values.copy(), parts.sessions
    values[bent] = shapley(model, question.rows(bent)).values
    if sessions is not None:
        # An order of columns does not tell sessions apart.
        sessions = sessions.copy()
        sessions[bent] = np.nan
    share = f"Shapley values for {bent.size} of {len(question)} rows"
    return Parts(
        method=f"{parts.method}, and {share}, from the mean training row",
        base=parts.base,
        values=values,
        sessions=sessions,
    )


_SMOOTH_NETS = ("mlp", "lstm", "transformer", "patchtst", "tabnet", "tcn", "tft")
# These choose what they attend to, queries or periods, and jump where the choice changes: no gradient tells of it.
_JUMPING_NETS = ("informer", "timesnet")
EXPLAINERS: Mapping[str, Explainer] = {
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "linear": _linear,
    **dict.fromkeys(_SMOOTH_NETS, _net),
    **dict.fromkeys(_JUMPING_NETS, shapley),
}
