"""XGBoost's own booster, kept as its own JSON file."""

import json
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray
from xgboost.callback import TrainingCallback

from quant_pipelines.models.data import Examples, Inputs, require_learnable, require_readable
from quant_pipelines.models.failures import StateRefused
from quant_pipelines.models.forecaster import ONE_THREAD, Description, Files, Fitting, History, Machine, Step
from quant_pipelines.models.kinds.xgboost import XGBOOST
from quant_pipelines.models.spec import ModelSettings
from quant_pipelines.models.target import in_units, unit_of

# As JSON: XGBoost ends the whole process over UBJSON that was cut short; JSON can be looked at before.
FILE = "booster.json"
_TRAIN, _VALIDATION = "train", "validation"
_NO_CHILD = -1
_LOOP = ("n_estimators", "early_stopping_rounds")


class XGBoost:
    """One output: the label set's value."""

    def __init__(self, settings: ModelSettings, state: Files | None = None) -> None:
        self.settings = settings
        self._booster = None if state is None else _restored(state, settings)

    def fit(self, train: Examples, validation: Examples, fitting: Fitting) -> History:
        require_learnable(XGBOOST, self.settings, train, validation)
        threads, unit = fitting.machine.threads, unit_of(train.target)
        matrix = xgboost.QuantileDMatrix(
            train.inputs.panel(), in_units(train.target[:, 0], unit), weight=train.weight, nthread=threads
        )
        watched = [(matrix, _TRAIN)]
        if len(validation):
            held = xgboost.QuantileDMatrix(
                validation.inputs.panel(),
                in_units(validation.target[:, 0], unit),
                weight=validation.weight,
                ref=matrix,
                nthread=threads,
            )
            watched.append((held, _VALIDATION))
        parameters, measured = self.settings.parameters, _Measured(self.settings, fitting)
        booster = xgboost.train(
            _parameters(self.settings, fitting),
            matrix,
            num_boost_round=int(parameters["n_estimators"]),
            evals=watched,
            early_stopping_rounds=int(parameters["early_stopping_rounds"]) if len(validation) else None,
            callbacks=[measured],
            verbose_eval=False,
        )
        best = booster.best_iteration + 1 if len(validation) else booster.num_boosted_rounds()
        # As JSON and back: what predicts now is what will be loaded, to the bit.
        self._booster = xgboost.Booster(model_file=_in_returns(booster[:best], unit))
        return History(steps=tuple(measured.steps), best=best)

    def predict(self, inputs: Inputs, machine: Machine = ONE_THREAD) -> NDArray[np.float32]:
        require_readable(XGBOOST, self.settings, inputs)
        if not len(inputs):
            return np.empty((0, 1), np.float32)
        self.booster.set_param({"nthread": machine.threads})
        values: Any = self.booster.inplace_predict(inputs.panel())
        return np.asarray(values, np.float32).reshape(len(inputs), 1)

    def state(self) -> Files:
        return {FILE: bytes(self.booster.save_raw(raw_format="json"))}

    def describe(self) -> Description:
        gain: dict[str, Any] = self.booster.get_score(importance_type="total_gain")
        return Description(
            size=self.booster.num_boosted_rounds(),
            importance={name: float(gain.get(f"f{place}", 0.0)) for place, name in enumerate(self.settings.columns)},
            facts={"trees": self.booster.num_boosted_rounds(), "importance": "total gain"},
        )

    @property
    def booster(self) -> xgboost.Booster:
        if self._booster is None:
            raise StateRefused("This XGBoost has not been fitted. Fit it, or load a version that was.")
        return self._booster


class _Measured(TrainingCallback):
    """Keeps every iteration and tells the watcher."""

    def __init__(self, settings: ModelSettings, fitting: Fitting) -> None:
        super().__init__()
        self._of = int(settings.parameters["n_estimators"])
        self._watch = fitting.watch
        self.steps: list[Step] = []

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        del model
        found = {
            f"{part}_{metric}": float(values[-1])
            for part, metrics in evals_log.items()
            for metric, values in metrics.items()
        }
        step = Step(number=epoch + 1, of=self._of, metrics=found)
        self.steps.append(step)
        self._watch(step)
        return False


def _in_returns(booster: xgboost.Booster, unit: float) -> bytearray:
    """The model with every leaf and the base score times the unit; their sum is the prediction, so it is too."""
    model: Any = json.loads(bytes(booster.save_raw(raw_format="json")))
    learner = model["learner"]
    for tree in learner["gradient_booster"]["model"]["trees"]:
        # A leaf's value stands where an inner node has its threshold.
        for place, child in enumerate(tree["left_children"]):
            if child == _NO_CHILD:
                tree["split_conditions"][place] *= unit
    parameters = learner["learner_model_param"]
    parameters["base_score"] = _scaled_base(str(parameters["base_score"]), unit)
    return bytearray(json.dumps(model).encode())


def _scaled_base(text: str, unit: float) -> str:
    """One number, since XGBoost 3 written as a list of one."""
    value = repr(float(text.strip("[]")) * unit)
    return f"[{value}]" if text.startswith("[") else value


def _parameters(settings: ModelSettings, fitting: Fitting) -> dict[str, Any]:
    chosen = {name: value for name, value in settings.parameters.items() if name not in _LOOP}
    return {
        **chosen,
        "eval_metric": "rmse",
        "tree_method": "hist",
        "seed": fitting.seed,
        "nthread": fitting.machine.threads,
        "verbosity": 0,
    }


def _restored(state: Files, settings: ModelSettings) -> xgboost.Booster:
    if set(state) != {FILE}:
        raise StateRefused(f"An XGBoost is one file, {FILE}; found {', '.join(sorted(state)) or 'nothing'}.")
    try:
        json.loads(state[FILE])
        booster = xgboost.Booster(model_file=bytearray(state[FILE]))
    except (ValueError, xgboost.core.XGBoostError) as error:
        raise StateRefused(f"{FILE} is no XGBoost model: {str(error).splitlines()[0]}.") from error
    if booster.num_features() != len(settings.columns):
        raise StateRefused(f"{FILE} has {booster.num_features()} columns, its settings {len(settings.columns)}.")
    return booster
