"""pyqlib's own models by class path: what they promise here, and that our kinds agree with them."""

import inspect
import sys
from dataclasses import replace

import numpy as np
import pytest

from quant_pipelines.models import (
    MODEL_KINDS,
    QLIB_CLASSES,
    BadParameter,
    DeviceMissing,
    Diverged,
    Fitting,
    Machine,
    NotLearnable,
    StateRefused,
    Step,
    Task,
    TrainingStopped,
    UnknownModel,
    kind_named,
    spec_named,
)
from quant_pipelines.models.kinds.qlib_classes import PACKAGE, REFUSED, STEP_LEN
from tests.learnable import COLUMNS, halves, planted

# What pyqlib's nets ask of PyTorch is theirs to mend.
pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor is True", "ignore:.*weight_norm. is deprecated")
GRU = f"{PACKAGE}pytorch_gru.GRU"
QUICK = {
    f"{PACKAGE}gbdt.LGBModel": {"num_boost_round": 40, "num_leaves": 7, "learning_rate": 0.2},
    f"{PACKAGE}xgboost.XGBModel": {"num_boost_round": 40, "max_depth": 3},
    f"{PACKAGE}linear.LinearModel": {},
    GRU: {"hidden_size": 8, "num_layers": 1, "n_epochs": 12, "lr": 0.03, "batch_size": 100, "step_len": 3},
}
NETS = [name for name in QLIB_CLASSES if "pytorch" in name]


def case_of(name, **chosen):
    settings = spec_named(name).settings(Task(), COLUMNS, chosen={**QUICK.get(name, {}), **chosen})
    train, validation = halves(planted(Task(), length=settings.length))
    return settings, train, validation


def made(settings, state=None):
    return spec_named(settings.kind).make(settings, state)


@pytest.fixture(scope="module", params=QUICK)
def case(request):
    return case_of(request.param)


@pytest.fixture(scope="module")
def fitted(case):
    settings, train, validation = case
    model = made(settings)
    return model, model.fit(train, validation, Fitting())


def test_it_beats_noise_on_the_planted_signal(case, fitted):
    settings, *_ = case
    test = planted(Task(), seed=8, length=settings.length)
    assert np.corrcoef(fitted[0].predict(test.inputs)[:, 0], test.target[:, 0])[0, 1] > 0.5


def test_the_same_seed_gives_the_same_model_and_a_restored_one_predicts_the_same(case, fitted):
    settings, train, validation = case
    again = made(settings)
    again.fit(train, validation, Fitting())
    assert again.state() == fitted[0].state()
    restored = made(settings, fitted[0].state())
    np.testing.assert_array_equal(restored.predict(validation.inputs), fitted[0].predict(validation.inputs))
    assert restored.state() == fitted[0].state()
    assert restored.describe() == fitted[0].describe()


def test_every_step_is_told_and_a_stop_leaves_the_model_as_it_was(case, fitted):
    settings, train, validation = case
    history = fitted[1]
    assert [each.number for each in history.steps] == list(range(1, len(history.steps) + 1))
    assert 1 <= history.best <= len(history.steps)

    def stop(step: Step) -> None:
        raise TrainingStopped("Stopped.")

    model = made(settings)
    with pytest.raises(TrainingStopped):
        model.fit(train, validation, Fitting(watch=stop))
    with pytest.raises(StateRefused, match="has not been fitted"):
        model.state()


def test_labels_and_features_that_cannot_be_learned_are_refused(case):
    settings, train, validation = case
    target = train.target.copy()
    target[3] = np.nan
    with pytest.raises(NotLearnable, match="NaN or infinite"):
        made(settings).fit(replace(train, target=target), validation, Fitting())


def test_a_state_that_is_none_is_refused(case, fitted):
    settings, *_ = case
    for state in (
        {},
        {**fitted[0].state(), "more": b""},
        {name: data[:20] for name, data in fitted[0].state().items()},
    ):
        with pytest.raises(StateRefused):
            made(settings, state)


def _chance():
    import torch

    numbers = np.random.get_state()[1]  # noqa: NPY002
    return numbers.tolist(), torch.random.get_rng_state().tolist(), torch.get_num_threads()


def test_nothing_global_is_changed(case):
    settings, train, validation = case
    import torch
    from qlib.workflow import R

    np.random.seed(5)  # noqa: NPY002 - what pyqlib would disturb
    torch.manual_seed(5)
    before = _chance()
    hook, recorder = sys.excepthook, vars(R)["_provider"]
    made(settings).fit(train, validation, Fitting(seed=3))
    assert _chance() == before
    assert sys.excepthook is hook
    assert vars(R)["_provider"] is recorder
    if "mlflow" in sys.modules:
        import mlflow

        assert mlflow.active_run() is None


def test_weights_count_or_are_refused(case):
    settings, train, validation = case
    weight = np.where(np.arange(len(train)) % 2, 1e-6, 1).astype(np.float32)
    weighed = replace(train, weight=weight)
    model = made(settings)
    if settings.kind == GRU:
        with pytest.raises(NotLearnable, match="counts every row the same"):
            model.fit(weighed, validation, Fitting())
        return
    model.fit(weighed, validation, Fitting())
    without = made(settings)
    without.fit(train, validation, Fitting())
    assert model.state() != without.state()


def test_a_net_sees_its_sessions_oldest_first_and_its_forecasts_do_not_depend_on_their_company(fitted, case):
    settings, _, validation = case
    model = fitted[0]
    whole = model.predict(validation.inputs)
    np.testing.assert_array_equal(model.predict(validation.inputs.rows(slice(3, 20))), whole[3:20])
    if settings.length > 1:
        block = validation.inputs.block.copy()
        first = int(validation.inputs.ends[0]) - settings.length + 1
        block[first:] += 9
        assert model.predict(replace(validation.inputs, block=block))[0, 0] != whole[0, 0]


def test_a_stop_reaches_a_net_while_it_learns():
    settings, train, validation = case_of(GRU, n_epochs=1000)
    told = []

    def watch(step: Step) -> None:
        told.append(step.number)
        if step.number == 2:
            raise TrainingStopped("Stopped.")

    with pytest.raises(TrainingStopped):
        made(settings).fit(train, validation, Fitting(watch=watch))
    assert told == [1, 2]


def test_a_net_that_diverges_says_so():
    settings, train, validation = case_of(GRU, lr=1e30, n_epochs=5, optimizer="gd")
    with pytest.raises(Diverged, match="not finite"):
        made(settings).fit(replace(train, target=train.target * 1e30), validation, Fitting())


def test_fewer_rows_than_a_batch_are_learned_from():
    settings, train, validation = case_of(GRU, batch_size=100_000, n_epochs=1)
    model = made(settings)
    model.fit(train.rows(slice(0, 30)), validation.rows(slice(0, 7)), Fitting())
    assert np.isfinite(model.predict(validation.inputs)).all()


def test_a_gpu_that_is_not_there_is_refused():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    settings, train, validation = case_of(GRU)
    with pytest.raises(DeviceMissing):
        made(settings).fit(train, validation, Fitting(machine=Machine(device="cuda")))


@pytest.mark.parametrize("name", NETS)
def test_every_net_has_the_parameters_and_defaults_of_its_class(name):
    """X-04, X-05: what is offered is what the class has, and it keeps what it is told."""
    from quant_pipelines.models.pyqlib.classes import MODULES, class_of

    path = name.removeprefix(PACKAGE)
    theirs = {key: each.default for key, each in inspect.signature(class_of(path)).parameters.items()}
    ours = {key: value for key, value in QLIB_CLASSES[name].defaults.items() if key != STEP_LEN}
    system = {"d_feat", "GPU", "seed", "metric", "loss", "n_jobs", "kwargs"}
    assert ours == {key: value for key, value in theirs.items() if key not in system}
    built = class_of(path)(d_feat=4, GPU=-1, **ours)
    assert {key: getattr(built, key) for key in ours if hasattr(built, key)} == {
        key: value for key, value in ours.items() if hasattr(built, key)
    }
    assert hasattr(built, MODULES[path])


@pytest.mark.nightly
@pytest.mark.parametrize("name", NETS)
def test_every_net_learns_and_comes_back(name):
    settings, train, validation = case_of(name, n_epochs=1, batch_size=100, step_len=4)
    model = made(settings)
    model.fit(train, validation, Fitting())
    restored = made(settings, model.state())
    np.testing.assert_array_equal(restored.predict(validation.inputs), model.predict(validation.inputs))


_LIGHTGBM = {"num_leaves": 7, "num_boost_round": 30, "feature_fraction": 0.85, "bagging_fraction": 0.85}
_XGBOOST = {"max_depth": 3, "subsample": 0.85, "colsample_bytree": 0.85}


@pytest.mark.parametrize(
    ("kind", "ours", "path", "theirs"),
    [
        ("lightgbm", _LIGHTGBM, "gbdt.LGBModel", {**_LIGHTGBM, "learning_rate": 0.05, "bagging_freq": 5}),
        (
            "xgboost",
            {**_XGBOOST, "n_estimators": 30},
            "xgboost.XGBModel",
            {**_XGBOOST, "learning_rate": 0.05, "num_boost_round": 30},
        ),
        ("linear", {}, "linear.LinearModel", {"fit_intercept": True}),
        # With a constant they differ: pyqlib's nnls allows none below nought.
        ("linear", {"estimator": "nnls", "fit_intercept": False}, "linear.LinearModel", {"estimator": "nnls"}),
    ],
)
def test_tree_and_linear_kinds_agree_with_pyqlibs_classes_on_the_same_matrix(kind, ours, path, theirs):
    """At so low a rate the last of so few trees is the best, so both keep all."""
    spec, its = MODEL_KINDS[kind], spec_named(PACKAGE + path)
    train, validation = halves(planted(Task()))
    found = []
    for settings in (spec.settings(Task(), COLUMNS, chosen=ours), its.settings(Task(), COLUMNS, chosen=theirs)):
        model = made(settings)
        model.fit(train, validation, Fitting())
        found.append(model.predict(validation.inputs))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-7)


def test_names_are_found_and_the_others_are_refused_with_the_reason():
    """S2-65, S2-81, X-08."""
    assert {name: kind_named(f"qlib_{name}") for name in MODEL_KINDS} == MODEL_KINDS
    assert all(kind_named(name).name == name for name in QLIB_CLASSES)
    with pytest.raises(UnknownModel, match="pandas 3; use lightgbm"):
        spec_named(f"{PACKAGE}highfreq_gdbt_model.HFLGBModel")
    with pytest.raises(UnknownModel, match="nobody has looked at it yet"):
        spec_named(f"{PACKAGE}brand_new.Model")
    with pytest.raises(UnknownModel, match="There is no model kind"):
        spec_named("os.system")
    assert not REFUSED.keys() & {name.removeprefix(PACKAGE) for name in QLIB_CLASSES}


def test_parameters_of_a_net_that_it_does_not_have_are_refused():
    with pytest.raises(BadParameter, match="hiden_size is no hyper-parameter"):
        spec_named(GRU).settings(Task(), COLUMNS, chosen={"hiden_size": 8})
    with pytest.raises(BadParameter, match="seed is no hyper-parameter"):
        spec_named(GRU).settings(Task(), COLUMNS, chosen={"seed": 8})
    with pytest.raises(BadParameter, match=r"seed of .* is set by the system"):
        made(case_of(f"{PACKAGE}gbdt.LGBModel", seed=8)[0])
