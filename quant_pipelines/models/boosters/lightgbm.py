"""LightGBM's own booster, trained from the block and kept as its own text file."""

from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from quant_pipelines.models.data import Examples, Inputs, require_learnable, require_readable
from quant_pipelines.models.failures import StateRefused
from quant_pipelines.models.forecaster import ONE_THREAD, Description, Files, Fitting, History, Machine, Step
from quant_pipelines.models.kinds.lightgbm import LIGHTGBM
from quant_pipelines.models.spec import ModelSettings
from quant_pipelines.models.target import in_units, unit_of

FILE = "booster.txt"
_TRAIN, _VALIDATION = "train", "validation"
# What binning depends on: trials that differ in anything else may share one binned data set.
_LEAF_LINES = ("leaf_value", "internal_value")
_LOOP = ("num_boost_round", "early_stopping_rounds")


class LightGBM:
    """One output: the label set's value."""

    def __init__(self, settings: ModelSettings, state: Files | None = None) -> None:
        self.settings = settings
        self._booster = None if state is None else _restored(state, settings)

    def fit(self, train: Examples, validation: Examples, fitting: Fitting) -> History:
        return self.fit_prepared(self.prepare(train, validation, fitting), fitting)

    def prepare(self, train: Examples, validation: Examples, fitting: Fitting) -> "Binned":
        """Put the rows into bins; a search bins once for all its trials."""
        require_learnable(LIGHTGBM, self.settings, train, validation)
        return binned_for(self.settings, train, validation, fitting)

    def fit_prepared(self, prepared: "Binned", fitting: Fitting) -> History:
        parameters, measured = self.settings.parameters, _Measured(self.settings, fitting)
        callbacks = [
            lightgbm.early_stopping(int(parameters["early_stopping_rounds"]), verbose=False),
            measured,
        ]
        if prepared.validation is None:
            callbacks = [measured]
        booster = lightgbm.train(
            _parameters(self.settings, fitting),
            prepared.train,
            num_boost_round=int(parameters["num_boost_round"]),
            valid_sets=[each for each in (prepared.train, prepared.validation) if each is not None],
            valid_names=[_TRAIN, _VALIDATION][: 1 + (prepared.validation is not None)],
            callbacks=callbacks,
        )
        best = booster.best_iteration or booster.current_iteration()
        # As text and back: what predicts now is what will be loaded, to the bit.
        self._booster = lightgbm.Booster(
            model_str=_in_returns(booster.model_to_string(num_iteration=best), prepared.unit)
        )
        return History(steps=tuple(measured.steps), best=best)

    def predict(self, inputs: Inputs, machine: Machine = ONE_THREAD) -> NDArray[np.float32]:
        require_readable(LIGHTGBM, self.settings, inputs)
        values: Any = self.booster.predict(inputs.panel(), num_threads=machine.threads)
        return np.asarray(values, np.float32).reshape(len(inputs), 1)

    def state(self) -> Files:
        return {FILE: self.booster.model_to_string().encode()}

    def describe(self) -> Description:
        gain = self.booster.feature_importance(importance_type="gain")
        return Description(
            size=self.booster.num_trees(),
            importance=dict(zip(self.settings.columns, (float(each) for each in gain), strict=True)),
            facts={"trees": self.booster.num_trees(), "importance": "gain"},
        )

    @property
    def booster(self) -> lightgbm.Booster:
        if self._booster is None:
            raise StateRefused("This LightGBM has not been fitted. Fit it, or load a version that was.")
        return self._booster


class Binned:
    """Training and validation rows in LightGBM's bins. Labels and weights may be exchanged, features not."""

    def __init__(self, train: lightgbm.Dataset, validation: lightgbm.Dataset | None, unit: float) -> None:
        self.train, self.validation, self.unit = train, validation, unit


def binned_for(settings: ModelSettings, train: Examples, validation: Examples, fitting: Fitting) -> Binned:
    """Put the rows into bins, once; the validation rows into those of the training rows."""
    names = [f"f{place}" for place in range(len(settings.columns))]  # LightGBM refuses characters of JSON in names
    parameters = {key: value for key, value in _parameters(settings, fitting).items() if key not in _LOOP}
    unit = unit_of(train.target)
    binned = lightgbm.Dataset(
        train.inputs.panel(),
        label=in_units(train.target[:, 0], unit),
        weight=train.weight,
        feature_name=names,
        params=parameters,
        free_raw_data=True,
    ).construct()
    if not len(validation):
        return Binned(binned, None, unit)
    held = lightgbm.Dataset(
        validation.inputs.panel(),
        label=in_units(validation.target[:, 0], unit),
        weight=validation.weight,
        reference=binned,
        feature_name=names,
        params=parameters,
    )
    return Binned(binned, held.construct(), unit)


class _Measured:
    """Keeps every iteration and tells the watcher."""

    order = 20
    before_iteration = False

    def __init__(self, settings: ModelSettings, fitting: Fitting) -> None:
        self._of = int(settings.parameters["num_boost_round"])
        self._watch = fitting.watch
        self.steps: list[Step] = []

    def __call__(self, env: lightgbm.callback.CallbackEnv) -> None:
        found = {f"{part}_{metric}": float(value) for part, metric, value, *_ in env.evaluation_result_list or ()}
        step = Step(number=env.iteration + 1, of=self._of, metrics=found)
        self.steps.append(step)
        self._watch(step)


def _in_returns(text: str, unit: float) -> str:
    """The model's text with every leaf times the unit; the sum of the leaves is the prediction, so it is too."""

    def line(each: str) -> str:
        name, equals, values = each.partition("=")
        if not equals or name not in _LEAF_LINES:
            return each
        return f"{name}={' '.join(repr(float(value) * unit) for value in values.split())}"

    return "\n".join(line(each) for each in _without_sizes(text).split("\n"))


def _without_sizes(text: str) -> str:
    """The header counts the bytes of every tree, and LightGBM ends the process where they differ; it needs no count."""
    return "\n".join(each for each in text.split("\n") if not each.startswith("tree_sizes="))


def _parameters(settings: ModelSettings, fitting: Fitting) -> dict[str, Any]:
    chosen = {name: value for name, value in settings.parameters.items() if name not in _LOOP}
    return {
        **chosen,
        "metric": "l2",
        "seed": fitting.seed,
        "num_threads": fitting.machine.threads,
        # One order of additions whatever the machine: the same seed gives the same trees.
        "deterministic": True,
        "force_row_wise": True,
        "feature_pre_filter": False,
        "verbosity": -1,
    }


def _restored(state: Files, settings: ModelSettings) -> lightgbm.Booster:
    if set(state) != {FILE}:
        raise StateRefused(f"A LightGBM is one file, {FILE}; found {', '.join(sorted(state)) or 'nothing'}.")
    try:
        booster = lightgbm.Booster(model_str=_without_sizes(state[FILE].decode()))
    except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
        raise StateRefused(f"{FILE} is no LightGBM model: {error}.") from error
    if booster.num_feature() != len(settings.columns):
        raise StateRefused(f"{FILE} has {booster.num_feature()} columns, its settings {len(settings.columns)}.")
    return booster
