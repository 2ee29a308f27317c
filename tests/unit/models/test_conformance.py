"""What every kind of model promises, run over all of them. A new kind is tested by being in the zoo."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from quant_pipelines.models import (
    MODEL_KINDS,
    Examples,
    Fitting,
    Forecaster,
    Inputs,
    ModelSettings,
    ModelSpec,
    NotLearnable,
    StateRefused,
    Step,
    Task,
    TrainingStopped,
    Value,
    Values,
)
from tests.learnable import COLUMNS, halves, planted, task_for, with_column

# Small enough for seconds, large enough to learn a line.
QUICK: dict[str, Values] = {
    "lightgbm": {"num_leaves": 7, "num_boost_round": 60, "early_stopping_rounds": 10, "learning_rate": 0.2},
    "xgboost": {"max_depth": 3, "n_estimators": 60, "early_stopping_rounds": 10, "learning_rate": 0.2},
    "linear": {},
    "mlp": {"hidden_size": 32, "n_epochs": 12, "batch_size": 96, "lr": 0.02},
    "lstm": {"hidden_size": 16, "num_layers": 1, "lookback": 4, "n_epochs": 10, "batch_size": 96, "lr": 0.03},
    "transformer": {
        "d_model": 16, "n_heads": 2, "num_layers": 1, "seq_len": 4, "n_epochs": 4, "batch_size": 96, "lr": 0.005,
    },
    "informer": {
        "d_model": 16, "n_heads": 2, "e_layers": 2, "seq_len": 6, "label_len": 3, "factor": 1, "n_epochs": 5,
        "batch_size": 96, "lr": 0.01,
    },
    "timesnet": {
        "d_model": 8, "d_ff": 8, "num_kernels": 2, "e_layers": 1, "seq_len": 6, "n_epochs": 6, "batch_size": 96,
        "lr": 0.01,
    },
    "patchtst": {
        "d_model": 16, "n_heads": 2, "num_layers": 1, "seq_len": 6, "patch_len": 2, "stride": 1, "n_epochs": 6,
        "batch_size": 96, "lr": 0.01,
    },
    "tabnet": {
        "n_d": 4, "n_a": 4, "n_steps": 2, "n_independent": 1, "n_shared": 1, "n_epochs": 12, "batch_size": 96,
        "virtual_batch_size": 48, "lr": 0.03,
    },
    "tcn": {
        "n_chans": 16, "kernel_size": 2, "num_layers": 2, "seq_len": 4, "n_epochs": 8, "batch_size": 96, "lr": 0.01,
        "dropout": 0.1,
    },
    "tft": {"d_model": 8, "n_heads": 2, "seq_len": 4, "n_epochs": 6, "batch_size": 96, "lr": 0.01},
}  # fmt: skip
KINDS = [MODEL_KINDS[name] for name in QUICK]
# The promises hold with weights of 8 bits too.
QUANTISED = ("mlp", "lstm", "transformer", "tft")
CHOSEN: dict[str, tuple[ModelSpec, Values]] = {
    **{name: (MODEL_KINDS[name], {}) for name in QUICK},
    **{f"{name}, quantised": (MODEL_KINDS[name], {"quantise": True}) for name in QUANTISED},
}


@dataclass(frozen=True)
class Case:
    """One kind with a panel that it can learn in seconds."""

    settings: ModelSettings
    train: Examples
    validation: Examples

    def make(self) -> Forecaster:
        return spec_of(self).make(self.settings, None)

    def fitted(self, *, seed: int = 0) -> Forecaster:
        model = self.make()
        model.fit(self.train, self.validation, Fitting(seed=seed))
        return model


def spec_of(case: Case) -> ModelSpec:
    return MODEL_KINDS[case.settings.kind]


def case_of(spec: ModelSpec, task: Task | None = None, **more: Value) -> Case:
    task = task or task_for(spec)
    settings = spec.settings(task, COLUMNS, chosen={**QUICK[spec.name], **more})
    train, validation = halves(planted(task, length=settings.length))
    return Case(settings, train, validation)


@pytest.fixture(scope="module", params=CHOSEN)
def case(request) -> Case:
    spec, more = CHOSEN[request.param]
    return case_of(spec, **more)


@pytest.fixture(scope="module")
def fitted(case) -> Forecaster:
    return case.fitted()


def test_it_beats_noise_on_the_planted_signal(case, fitted):
    test = planted(case.settings.task, seed=8, length=case.settings.length)
    score = case.settings.task.signal(fitted.predict(test.inputs))
    assert np.corrcoef(score, case.settings.task.signal(test.target))[0, 1] > 0.5


def test_it_learns_nothing_from_noise(case):
    chance = np.random.default_rng(3)
    shuffled = replace(case.train, target=case.train.target[chance.permutation(len(case.train))])
    model = case.make()
    model.fit(shuffled, case.validation.rows(slice(0, 0)), Fitting())
    test = planted(case.settings.task, seed=8, length=case.settings.length)
    score = case.settings.task.signal(model.predict(test.inputs))
    strength = np.corrcoef(score, case.settings.task.signal(test.target))[0, 1] if np.ptp(score) else 0.0
    assert abs(strength) < 0.4


def test_predictions_have_the_shape_and_type_of_the_task(case, fitted):
    found = fitted.predict(case.validation.inputs)
    assert found.shape == (len(case.validation), case.settings.task.outputs)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert fitted.predict(case.validation.inputs.rows(slice(0, 0))).shape == (0, case.settings.task.outputs)


def test_the_same_seed_gives_the_same_model(case, fitted):
    assert case.fitted().state() == fitted.state()


def test_fitting_twice_is_fitting_once(case, fitted):
    model = case.make()
    halfway = case.train.rows(slice(0, len(case.train) // 2))
    model.fit(halfway, case.validation, Fitting(seed=5))
    model.fit(case.train, case.validation, Fitting())
    assert model.state() == fitted.state()


def test_a_restored_model_predicts_the_same_to_the_bit(case, fitted):
    again = spec_of(case).make(case.settings, fitted.state())
    np.testing.assert_array_equal(again.predict(case.validation.inputs), fitted.predict(case.validation.inputs))
    assert again.state() == fitted.state()
    assert again.describe() == fitted.describe()


_FRESH = """
import json, sys
from pathlib import Path
import numpy as np
from tests.learnable import COLUMNS, halves, planted
from quant_pipelines.models import MODEL_KINDS, Task
folder = Path(sys.argv[1])
kind, task, chosen = json.loads((folder / "case.json").read_text())
spec, task = MODEL_KINDS[kind], Task(**task)
settings = spec.settings(task, COLUMNS, chosen=chosen)
state = {path.name: path.read_bytes() for path in (folder / "state").iterdir()}
_, validation = halves(planted(task, length=settings.length))
np.save(folder / "found.npy", spec.make(settings, state).predict(validation.inputs))
"""


def test_a_fresh_process_predicts_the_same_to_the_bit(case, fitted, tmp_path):
    task = {"kind": case.settings.task.kind, "outputs": case.settings.task.outputs}
    (tmp_path / "case.json").write_text(json.dumps([case.settings.kind, task, case.settings.parameters]))
    (tmp_path / "state").mkdir()
    for name, data in fitted.state().items():
        (tmp_path / "state" / name).write_bytes(data)
    root = str(Path(__file__).parents[3])
    subprocess.run([sys.executable, "-c", _FRESH, str(tmp_path)], check=True, cwd=root)
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), fitted.predict(case.validation.inputs))


def test_a_prediction_does_not_depend_on_its_company(case, fitted):
    """S1-89, batched inference: how many rows are asked for at once changes no bit."""
    whole = fitted.predict(case.validation.inputs)
    for chosen in (slice(0, 1), slice(3, 40), np.arange(len(case.validation))[::-1]):
        np.testing.assert_array_equal(fitted.predict(case.validation.inputs.rows(chosen)), whole[chosen])


def test_a_prediction_depends_on_no_row_outside_its_window(case, fitted):
    """What stands before a window or after its last session is not looked at."""
    inputs = case.validation.inputs.rows(slice(0, 50))
    touched = np.zeros(len(inputs.block), bool)
    for end in inputs.ends:
        touched[end - inputs.length + 1 : end + 1] = True
    block = np.where(touched[:, None], inputs.block, np.float32(99))
    np.testing.assert_array_equal(fitted.predict(replace(inputs, block=block)), fitted.predict(inputs))


def test_the_order_of_columns_is_part_of_the_model(case, fitted):
    inputs = case.validation.inputs
    turned = Inputs(
        block=np.ascontiguousarray(inputs.block[:, ::-1]),
        ends=inputs.ends,
        sessions=inputs.sessions,
        columns=COLUMNS[::-1],
        length=inputs.length,
    )
    with pytest.raises(NotLearnable, match="other columns, or in another order"):
        fitted.predict(turned)
    with pytest.raises(NotLearnable, match="lacks noise_b"):
        fitted.predict(replace(inputs, block=np.ascontiguousarray(inputs.block[:, :3]), columns=COLUMNS[:3]))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_labels_that_are_not_numbers_are_refused(case, bad):
    target = case.train.target.copy()
    target[3] = bad
    with pytest.raises(NotLearnable, match="NaN or infinite"):
        case.make().fit(replace(case.train, target=target), case.validation, Fitting())


def test_equal_labels_are_refused(case):
    with pytest.raises(NotLearnable, match="nothing to learn"):
        case.make().fit(replace(case.train, target=np.ones_like(case.train.target)), case.validation, Fitting())


def test_no_rows_are_refused(case):
    with pytest.raises(NotLearnable, match="no row"):
        case.make().fit(case.train.rows(slice(0, 0)), case.validation, Fitting())


def test_missing_values_are_read_or_refused_by_name(case):
    train = with_column(case.train, 2, np.nan)
    if not spec_of(case).takes_missing:
        with pytest.raises(NotLearnable, match="noise_a has missing values"):
            case.make().fit(train, case.validation, Fitting())
        return
    model = case.make()
    model.fit(train, with_column(case.validation, 2, np.nan), Fitting())
    assert np.isfinite(model.predict(train.inputs)).all()


def test_huge_values_are_read_or_refused_by_name(case):
    train = with_column(case.train, 3, 1e30)
    if not spec_of(case).takes_any_scale:
        with pytest.raises(NotLearnable, match="noise_b holds values beyond"):
            case.make().fit(train, case.validation, Fitting())
        return
    model = case.make()
    model.fit(train, with_column(case.validation, 3, 1e30), Fitting())
    assert np.isfinite(model.predict(case.train.inputs)).all()


def test_infinite_features_are_refused(case):
    with pytest.raises(NotLearnable, match="weak holds an infinity"):
        case.make().fit(with_column(case.train, 1, np.inf), case.validation, Fitting())


def test_fewer_rows_than_a_batch_are_learned_from(case):
    model = case.make()
    model.fit(case.train.rows(slice(0, 30)), case.validation.rows(slice(0, 5)), Fitting())
    assert np.isfinite(model.predict(case.validation.inputs)).all()


def test_every_step_is_told_in_order_and_the_best_is_one_of_them(case):
    told: list[Step] = []
    history = case.make().fit(case.train, case.validation, Fitting(watch=told.append))
    assert tuple(told) == history.steps
    assert [each.number for each in told] == list(range(1, len(told) + 1))
    assert all(each.number <= each.of and each.metrics for each in told)
    assert 1 <= history.best <= len(told)
    assert all(np.isfinite(list(each.metrics.values())).all() for each in told)


def test_a_stopped_training_leaves_the_model_as_it_was(case, fitted):
    model = case.make()

    def stop(step: Step) -> None:
        raise TrainingStopped(f"Stopped at step {step.number}.")

    with pytest.raises(TrainingStopped):
        model.fit(case.train, case.validation, Fitting(watch=stop))
    with pytest.raises(StateRefused, match="has not been fitted"):
        model.state()
    before = spec_of(case).make(case.settings, fitted.state())
    with pytest.raises(TrainingStopped):
        before.fit(case.train, case.validation, Fitting(seed=1, watch=stop))
    assert before.state() == fitted.state()


def test_weights_count(case):
    """Rows of weight nearly nothing are as good as left out."""
    chance = np.random.default_rng(11)
    noise = chance.random(len(case.train)) < 0.5
    target = case.train.target.copy()
    target[noise] = target[chance.permutation(np.flatnonzero(noise))] * (1 if target.ndim == 1 else -3)
    weight = np.where(noise, 1e-6, 1).astype(np.float32)
    test = planted(case.settings.task, seed=8, length=case.settings.length)

    def skill(weights: np.ndarray | None) -> float:
        model = case.make()
        model.fit(replace(case.train, target=target, weight=weights), case.validation.rows(slice(0, 0)), Fitting())
        score = case.settings.task.signal(model.predict(test.inputs))
        return float(np.corrcoef(score, case.settings.task.signal(test.target))[0, 1]) if np.ptp(score) else 0.0

    assert skill(weight) > skill(None)


def test_a_state_of_other_files_is_refused(case, fitted):
    make = spec_of(case).make
    with pytest.raises(StateRefused, match="found nothing"):
        make(case.settings, {})
    with pytest.raises(StateRefused):
        make(case.settings, {**fitted.state(), "more": b""})
    for cut in (0, 1, 40):
        with pytest.raises(StateRefused):
            make(case.settings, {name: data[:cut] for name, data in fitted.state().items()})


def test_a_state_of_other_columns_is_refused(case, fitted):
    narrower = replace(case.settings, columns=COLUMNS[:3])
    with pytest.raises(StateRefused):
        spec_of(case).make(narrower, fitted.state())


def test_it_describes_itself(case, fitted):
    found = fitted.describe()
    assert found.size > 0
    if found.importance is not None:
        assert tuple(found.importance) == COLUMNS
        assert max(found.importance, key=lambda name: found.importance[name]) == "strong"
