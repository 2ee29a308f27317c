"""pyqlib's LGBModel, XGBModel and LinearModel. They learn; their makers' own files keep what was learned."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from quant_pipelines.models.boosters.lightgbm import FILE as LIGHTGBM_FILE
from quant_pipelines.models.boosters.lightgbm import LightGBM
from quant_pipelines.models.boosters.xgboost import FILE as XGBOOST_FILE
from quant_pipelines.models.boosters.xgboost import XGBoost
from quant_pipelines.models.data import Examples, Inputs, require_learnable, require_readable
from quant_pipelines.models.failures import BadParameter, Diverged, NotLearnable, StateRefused
from quant_pipelines.models.forecaster import (
    ONE_THREAD,
    Description,
    Files,
    Fitting,
    Forecaster,
    History,
    Machine,
    Step,
)
from quant_pipelines.models.kinds.qlib_classes import PACKAGE, QLIB_CLASSES
from quant_pipelines.models.linear import FILE as LINEAR_FILE
from quant_pipelines.models.linear import Linear
from quant_pipelines.models.pyqlib.classes import class_of
from quant_pipelines.models.pyqlib.dataset import dataset_of, reweighter_of
from quant_pipelines.models.pyqlib.isolation import borrowed
from quant_pipelines.models.spec import ModelSettings

_STOPPING = ("num_boost_round", "early_stopping_rounds")
_KEEPERS: dict[str, Callable[[ModelSettings, Files], Forecaster]] = {
    "gbdt.LGBModel": LightGBM,
    "xgboost.XGBModel": XGBoost,
    "linear.LinearModel": Linear,
}
# Named by the system; another value would be a second seed or another machine.
_OURS = {
    "gbdt.LGBModel": ("seed", "num_threads", "deterministic", "force_row_wise", "verbosity"),
    "xgboost.XGBModel": ("seed", "nthread", "verbosity"),
    "linear.LinearModel": ("include_valid",),
}


class QlibNative:
    """One output: the label set's value. Steps are told when all are done: pyqlib lets nobody look before."""

    def __init__(self, settings: ModelSettings, state: Files | None = None) -> None:
        self.settings = settings
        self._path = settings.kind.removeprefix(PACKAGE)
        taken = sorted(settings.parameters.keys() & set(_OURS[self._path]))
        if taken:
            raise BadParameter(f"{', '.join(taken)} of {settings.kind} is set by the system. Leave it out.")
        self._keeper = None if state is None else _KEEPERS[self._path](settings, state)

    def fit(self, train: Examples, validation: Examples, fitting: Fitting) -> History:
        require_learnable(QLIB_CLASSES[self.settings.kind], self.settings, train, validation)
        if not len(validation) and self._path != "linear.LinearModel":
            raise NotLearnable(f"{self.settings.kind} stops by its validation rows, and there are none.")
        model, measured = self._fitted(train, validation, fitting)
        steps = _steps(self.settings, measured)
        keeper = _KEEPERS[self._path](self.settings, _FILES[self._path](model))
        for each in steps:
            fitting.watch(each)
        self._keeper = keeper
        best = getattr(getattr(model, "model", None), "best_iteration", None)
        # XGBoost counts from 0; LightGBM from 1, and says 0 where it did not stop early.
        found = len(steps) if best is None else int(best) + (self._path == "xgboost.XGBModel")
        return History(steps=steps, best=min(max(found, 1), len(steps)))

    def predict(self, inputs: Inputs, machine: Machine = ONE_THREAD) -> NDArray[np.float32]:
        require_readable(QLIB_CLASSES[self.settings.kind], self.settings, inputs)
        return self.keeper.predict(inputs, machine)

    def state(self) -> Files:
        return self.keeper.state()

    def describe(self) -> Description:
        return self.keeper.describe()

    @property
    def keeper(self) -> Forecaster:
        if self._keeper is None:
            raise StateRefused(f"This {self.settings.kind} has not been fitted. Fit it, or load a version that was.")
        return self._keeper

    def _fitted(self, train: Examples, validation: Examples, fitting: Fitting) -> tuple[Any, dict[str, Any]]:
        made, asked = _arguments(self._path, self.settings, fitting)
        measured: dict[str, Any] = {}
        if self._path != "linear.LinearModel":
            asked |= {"evals_result": measured, "verbose_eval": False}
        with borrowed(fitting.machine, with_torch=False):
            model = class_of(self._path)(**made)
            model.fit(dataset_of(train, validation), reweighter=reweighter_of(train, validation), **asked)
        return model, measured


def _arguments(path: str, settings: ModelSettings, fitting: Fitting) -> tuple[dict[str, Any], dict[str, Any]]:
    """What goes to the constructor, and what to `fit`."""
    chosen, threads = dict(settings.parameters), fitting.machine.threads
    if path == "gbdt.LGBModel":
        ours = {"seed": fitting.seed, "num_threads": threads, "deterministic": True, "force_row_wise": True}
        return {**chosen, **ours, "verbosity": -1}, {}
    if path == "xgboost.XGBModel":
        ours = {"seed": fitting.seed, "nthread": threads, "verbosity": 0}
        asked = {name: chosen.pop(name) for name in _STOPPING}
        return {**chosen, **ours}, asked
    return chosen, {}


def _steps(settings: ModelSettings, measured: dict[str, Any]) -> tuple[Step, ...]:
    """Every tree's measures, of both libraries' forms: {part: {metric: values}} and {part: values}."""
    series: dict[str, list[float]] = {}
    for part, found in measured.items():
        named: dict[str, list[float]] = found if isinstance(found, dict) else {"loss": found}
        series |= {f"{'validation' if part == 'valid' else part}_{name}": values for name, values in named.items()}
    count = max((len(each) for each in series.values()), default=1)
    of = int(settings.parameters.get("num_boost_round", 1))
    return tuple(
        Step(
            number=n + 1,
            of=max(of, count),
            metrics={name: float(each[n]) for name, each in series.items()} or {"fits": 1},
        )
        for n in range(count)
    )


def _lightgbm_files(model: Any) -> Files:
    return {LIGHTGBM_FILE: model.model.model_to_string(num_iteration=model.model.best_iteration).encode()}


def _xgboost_files(model: Any) -> Files:
    return {XGBOOST_FILE: bytes(model.model.save_raw(raw_format="json"))}


def _linear_files(model: Any) -> Files:
    coefficients = np.ascontiguousarray(np.ravel(model.coef_), np.float64)
    constant = np.atleast_1d(np.asarray(model.intercept_, np.float64))
    if not (np.isfinite(coefficients).all() and np.isfinite(constant).all()):
        raise Diverged("The coefficients are not finite: columns too large or too much alike. Use ridge.")
    return {LINEAR_FILE: save({"coefficients": coefficients, "intercept": constant})}


_FILES: dict[str, Callable[[Any], Files]] = {
    "gbdt.LGBModel": _lightgbm_files,
    "xgboost.XGBModel": _xgboost_files,
    "linear.LinearModel": _linear_files,
}
