"""Boosted models against the libraries used directly, and the unit that targets are learned in."""

from dataclasses import replace

import lightgbm
import numpy as np
import pytest
import xgboost

from quant_pipelines.models import MODEL_KINDS, Examples, Fitting, Task
from tests.learnable import COLUMNS, halves, planted

QUICK = {
    "lightgbm": {"num_boost_round": 25, "num_leaves": 15, "bagging_freq": 0, "feature_fraction": 1.0},
    "xgboost": {"n_estimators": 25, "max_depth": 4, "subsample": 1.0, "colsample_bytree": 1.0},
}


DEFAULTS = {
    "lightgbm": {
        "objective": "regression", "num_leaves": 210, "learning_rate": 0.05, "feature_fraction": 0.85,
        "bagging_fraction": 0.85, "bagging_freq": 5, "min_child_samples": 20, "num_boost_round": 1000,
        "early_stopping_rounds": 50,
    },
    "xgboost": {
        "objective": "reg:squarederror", "max_depth": 6, "learning_rate": 0.05, "subsample": 0.85,
        "colsample_bytree": 0.85, "n_estimators": 1000, "early_stopping_rounds": 50,
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", DEFAULTS)
def test_boosters_have_the_defaults_that_were_asked_for(kind):
    """S2-56, S2-57."""
    assert DEFAULTS[kind].items() <= MODEL_KINDS[kind].defaults.items()


def fitted(kind: str, train: Examples, validation: Examples, **chosen):
    spec = MODEL_KINDS[kind]
    model = spec.make(spec.settings(Task(), COLUMNS, chosen={**QUICK[kind], **chosen}), None)
    history = model.fit(train, validation, Fitting())
    return model, history


def direct(kind: str, train: Examples, validation: Examples) -> np.ndarray:
    """What a user would write, on raw targets."""
    x, y = train.inputs.panel(), train.target[:, 0]
    if kind == "lightgbm":
        booster = lightgbm.train(
            {"objective": "regression", "num_leaves": 15, "learning_rate": 0.05, "verbosity": -1, "num_threads": 1},
            lightgbm.Dataset(x, y),
            num_boost_round=25,
        )
        return booster.predict(validation.inputs.panel())
    booster = xgboost.train(
        {"max_depth": 4, "learning_rate": 0.05, "nthread": 1, "verbosity": 0}, xgboost.QuantileDMatrix(x, y), 25
    )
    return booster.predict(xgboost.DMatrix(validation.inputs.panel()))


@pytest.mark.parametrize("kind", QUICK)
def test_it_agrees_with_the_library_on_the_same_matrix(kind):
    train, validation = halves(planted(Task()))
    model, _ = fitted(kind, train, validation.rows(slice(0, 0)))
    found, expected = model.predict(validation.inputs)[:, 0], direct(kind, train, validation)
    np.testing.assert_allclose(found, expected, atol=1e-3 * expected.std())


@pytest.mark.parametrize("kind", QUICK)
def test_the_unit_of_the_target_changes_nothing_but_the_unit(kind):
    """Also with penalties, which count in units of the target."""
    penalty = {"lightgbm": {"lambda_l1": 20.0, "lambda_l2": 5.0}, "xgboost": {"reg_alpha": 20.0}}[kind]
    train, validation = halves(planted(Task()))
    (small, one), (large, two) = (
        fitted(
            kind, replace(train, target=train.target * k), replace(validation, target=validation.target * k), **penalty
        )
        for k in (np.float32(1), np.float32(1024))
    )
    assert one.best == two.best
    small_values, large_values = small.predict(validation.inputs), large.predict(validation.inputs)
    assert np.ptp(small_values) > 0
    np.testing.assert_allclose(large_values, small_values * 1024, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", QUICK)
def test_the_state_of_the_best_step_is_kept(kind):
    train, validation = halves(planted(Task()))
    name = {"lightgbm": "num_boost_round", "xgboost": "n_estimators"}[kind]
    model, history = fitted(kind, train, validation, **{name: 400, "learning_rate": 0.3})
    assert history.best < len(history.steps) < 400
    assert model.describe().size == history.best
    measure = {"lightgbm": "validation_l2", "xgboost": "validation_rmse"}[kind]
    assert np.argmin(history.curve(measure)) == history.best - 1
