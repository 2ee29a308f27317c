"""The linear model: qlib's four estimators, kept as its coefficients."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from quant_pipelines.models.data import Examples, Inputs, require_learnable, require_readable
from quant_pipelines.models.failures import Diverged, StateRefused
from quant_pipelines.models.forecaster import ONE_THREAD, Description, Files, Fitting, History, Machine, Step
from quant_pipelines.models.kinds.linear import LINEAR
from quant_pipelines.models.spec import ModelSettings

FILE = "coefficients.safetensors"
_COEFFICIENTS, _INTERCEPT = "coefficients", "intercept"


class Linear:
    """One output: the label set's value."""

    def __init__(self, settings: ModelSettings, state: Files | None = None) -> None:
        self.settings = settings
        self._fitted = None if state is None else _restored(state, settings)

    def fit(self, train: Examples, validation: Examples, fitting: Fitting) -> History:
        require_learnable(LINEAR, self.settings, train, validation)
        found = _estimated(self.settings, train, fitting)
        if not all(np.isfinite(each).all() for each in found):
            raise Diverged("The coefficients are not finite: columns too large or too much alike. Use ridge.")
        metrics = {
            f"{part}_mse": _mean_square(found, rows)
            for part, rows in (("train", train), ("validation", validation))
            if len(rows)
        }
        step = Step(number=1, of=1, metrics=metrics)
        fitting.watch(step)
        self._fitted = found
        return History(steps=(step,), best=1)

    def predict(self, inputs: Inputs, machine: Machine = ONE_THREAD) -> NDArray[np.float32]:
        del machine
        require_readable(LINEAR, self.settings, inputs)
        return _values(self.fitted, inputs).astype(np.float32)[:, None]

    def state(self) -> Files:
        coefficients, intercept = self.fitted
        return {FILE: save({_COEFFICIENTS: coefficients, _INTERCEPT: intercept})}

    def describe(self) -> Description:
        coefficients, intercept = self.fitted
        return Description(
            size=coefficients.size + 1,
            importance=dict(zip(self.settings.columns, (float(each) for each in np.abs(coefficients)), strict=True)),
            facts={"intercept": float(intercept[0]), "importance": "size of the coefficient"},
        )

    @property
    def fitted(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self._fitted is None:
            raise StateRefused("This linear model has not been fitted. Fit it, or load a version that was.")
        return self._fitted


def _estimated(
    settings: ModelSettings, train: Examples, fitting: Fitting
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from sklearn.linear_model import Lasso, LinearRegression, Ridge

    alpha, with_constant = float(settings.parameters["alpha"]), bool(settings.parameters["fit_intercept"])
    estimators: dict[str, Any] = {
        "ols": lambda: LinearRegression(fit_intercept=with_constant),
        "nnls": lambda: LinearRegression(fit_intercept=with_constant, positive=True),
        "ridge": lambda: Ridge(alpha=alpha, fit_intercept=with_constant),
        "lasso": lambda: Lasso(alpha=alpha, fit_intercept=with_constant, random_state=fitting.seed),
    }
    estimator = estimators[str(settings.parameters["estimator"])]()
    values = train.inputs.panel().astype(np.float64)
    estimator.fit(values, train.target[:, 0].astype(np.float64), sample_weight=train.weight)
    constant = np.atleast_1d(np.asarray(estimator.intercept_, np.float64))
    return np.ascontiguousarray(estimator.coef_, np.float64), constant


def _values(fitted: tuple[NDArray[np.float64], NDArray[np.float64]], inputs: Inputs) -> NDArray[np.float64]:
    coefficients, intercept = fitted
    # Row by row, not one product of matrices: BLAS adds in another order for another number of rows.
    return np.einsum("ij,j->i", inputs.panel().astype(np.float64), coefficients) + intercept[0]


def _mean_square(fitted: tuple[NDArray[np.float64], NDArray[np.float64]], rows: Examples) -> float:
    return float(np.mean((_values(fitted, rows.inputs) - rows.target[:, 0]) ** 2))


def _restored(state: Files, settings: ModelSettings) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if set(state) != {FILE}:
        raise StateRefused(f"A linear model is one file, {FILE}; found {', '.join(sorted(state)) or 'nothing'}.")
    try:
        found = load(state[FILE])
    except SafetensorError as error:
        raise StateRefused(f"{FILE} is no safetensors file: {error}.") from error
    shapes = {name: (each.dtype.str, each.shape) for name, each in found.items()}
    if shapes != {_COEFFICIENTS: ("<f8", (len(settings.columns),)), _INTERCEPT: ("<f8", (1,))}:
        raise StateRefused(f"{FILE} holds {shapes}, not the coefficients of {len(settings.columns)} columns.")
    return found[_COEFFICIENTS], found[_INTERCEPT]
