"""The one entry of training: what it says on the way, what it gives, how it ends."""

from dataclasses import replace

import numpy as np
import pytest

from quant_pipelines.labels import LABEL_SETS
from quant_pipelines.models import MODEL_KINDS, BadParameter, Machine, NotLearnable, Task, TrainingStopped
from quant_pipelines.serving import inputs_of
from quant_pipelines.training import (
    Engine,
    Order,
    Progress,
    Stage,
    TrainingTookTooLong,
    material_of,
    order_for,
    task_of,
)
from tests.seconds import Seconds
from tests.unit.snapshots.conftest import CLOCK

QUICK = {"kind": "lightgbm", "hyperparameters": {"num_boost_round": 12, "num_leaves": 7}}
IMPUTED = {"kind": "standard", "missing": "centre"}


@pytest.fixture
def ordered(frozen):
    strategy, arrays = frozen(model=QUICK, label_set="qlib_return")
    return order_for(strategy, arrays.document, code_version="test"), arrays


def told_by(order: Order, arrays, **changes) -> list[Progress]:
    told: list[Progress] = []
    engine = Engine(**{"clock": CLOCK, "listener": told.append, "seconds": Seconds(), **changes})
    try:
        engine.train(order, arrays)
    except (TrainingStopped, NotLearnable):
        told.append(told[-1])
    return told


def test_every_stage_is_told_at_its_percentage(ordered):
    """S2-21, X-11."""
    told = told_by(*ordered)
    stages = {each.stage: each.percent for each in told if each.step is None}
    assert stages == {
        Stage.PREPARING: 10, Stage.CONFIGURING: 20, Stage.TRAINING: 30, Stage.EVALUATING: 90, Stage.COMPLETED: 100
    }  # fmt: skip
    assert all(each.model_id == ordered[0].training_id and each.message for each in told)


def test_progress_never_goes_back_and_training_fills_30_to_90(ordered):
    told = told_by(*ordered)
    percents = [each.percent for each in told]
    assert percents == sorted(percents)
    steps = [each for each in told if each.step is not None]
    assert [each.percent for each in steps] == pytest.approx([30 + 60 * n / 12 for n in range(1, len(steps) + 1)])


def test_the_time_that_is_left_is_told(ordered):
    """Seconds pass two by two: one look for the estimate, one for the longest time."""
    steps = [each for each in told_by(*ordered) if each.step is not None]
    passed = [1 + 2 * each for each in range(12)]
    expected = [seconds / n * (12 - n) for n, seconds in enumerate(passed, start=1)]
    assert [each.remaining_seconds for each in steps] == pytest.approx(expected)
    assert "Step 12 of 12" in steps[-1].message


def test_a_training_gives_a_model_that_loads_and_a_report_of_it(ordered):
    order, arrays = ordered
    trained = Engine(clock=CLOCK, listener=lambda _: None).train(order, arrays)
    report = trained.report
    assert (report.model_id, report.model_name) == (order.training_id, "tiny.s")
    assert report.total_epochs == len(report.training_history) == 12
    assert 1 <= report.best_epoch <= 12
    assert report.hyperparameters["num_boost_round"] == 12
    assert report.hyperparameters["learning_rate"] == 0.05
    assert set(report.feature_importance) == set(arrays.columns)
    assert report.created_at == CLOCK.now()
    model = MODEL_KINDS["lightgbm"].make(order.settings, trained.files)
    part = material_of(arrays, order.settings, order.strategy.training).validation
    predicted = model.predict(part.examples.inputs)
    mse = float(np.mean((predicted - part.examples.target).astype(np.float64) ** 2))
    assert report.final_metrics["validation_mse"] == pytest.approx(mse)


def test_a_class_of_pyqlib_trains_through_the_same_engine(frozen):
    """S2-14."""
    kind = "qlib.contrib.model.gbdt.LGBModel"
    strategy, arrays = frozen(
        model={"kind": kind, "hyperparameters": {"num_boost_round": 5, "num_leaves": 4}}, label_set="qlib_return"
    )
    order = order_for(strategy, arrays.document, code_version="test")
    told = told_by(order, arrays)
    assert told[-1].stage is Stage.COMPLETED
    report = Engine(clock=CLOCK, listener=lambda _: None).train(order, arrays).report
    assert (report.model_kind, report.total_epochs, report.hyperparameters["num_leaves"]) == (kind, 5, 4)
    assert set(report.feature_importance) == set(arrays.columns)


def test_the_holdout_is_not_looked_at(frozen):
    """A model that saw the holdout's labels could tell."""
    strategy, arrays = frozen(model=QUICK, label_set="qlib_return")
    order = order_for(strategy, arrays.document, code_version="test")
    spoiled = arrays.labels.value.copy()
    spoiled[arrays.part("holdout")] = np.nan
    engine = Engine(clock=CLOCK, listener=lambda _: None)
    without = replace(arrays, labels=replace(arrays.labels, value=spoiled))
    assert arrays.part("holdout").size > 0
    assert engine.train(order, without).files == engine.train(order, arrays).files


def test_a_stop_is_told_and_leaves_nothing(ordered):
    told = told_by(*ordered, stop=lambda: True)
    assert told[-1].stage is Stage.STOPPED
    assert told[-1].percent < 90
    with pytest.raises(TrainingStopped, match="Stopped at step 1"):
        Engine(clock=CLOCK, listener=lambda _: None, stop=lambda: True).train(*ordered)


def test_a_training_has_its_longest_time(ordered):
    engine = Engine(clock=CLOCK, listener=lambda _: None, seconds=Seconds(), longest_seconds=9)
    with pytest.raises(TrainingTookTooLong, match="after 9 s"):
        engine.train(*ordered)


def test_a_failure_is_told_with_its_reason(frozen):
    strategy, arrays = frozen(model={"kind": "linear"}, label_set="qlib_return")
    told = told_by(order_for(strategy, arrays.document, code_version="test"), arrays)
    assert told[-1].stage is Stage.FAILED
    assert "missing: centre" in told[-1].message


def test_a_chosen_value_wins_and_an_unknown_name_is_refused(frozen):
    """S2-25."""
    strategy, arrays = frozen(model={**QUICK, "preset": "lightgbm_alpha158"}, label_set="qlib_return")
    order = order_for(strategy, arrays.document, code_version="test", chosen={"num_leaves": 9})
    assert order.settings.parameters["num_leaves"] == 9
    assert order.settings.parameters["max_depth"] == 8  # the preset's
    assert order.settings.parameters["min_child_samples"] == 20  # the kind's
    with pytest.raises(BadParameter, match="leafs is no hyper-parameter"):
        order_for(strategy, arrays.document, code_version="test", chosen={"leafs": 9})
    with pytest.raises(BadParameter, match="whole number >= 2"):
        order_for(strategy, arrays.document, code_version="test", chosen={"num_leaves": 1})


def test_equal_orders_have_equal_names_and_others_have_others(ordered):
    order, _ = ordered
    assert replace(order).training_id == order.training_id
    assert replace(order, machine=Machine(threads=2)).training_id == order.training_id
    others = [replace(order, seed=1), replace(order, snapshot_id="other"), replace(order, code_version="other")]
    assert len({order.training_id, *(each.training_id for each in others)}) == 4


@pytest.mark.parametrize("label_set", LABEL_SETS)
def test_every_label_set_has_a_task_for_every_kind(label_set):
    """X-37: as many values as the label set has, where the kind can."""
    many = {"direction3": Task(kind="classes", outputs=3), "dual": Task(outputs=5), "qlib_return": Task()}
    assert {name: task_of(spec, label_set) for name, spec in MODEL_KINDS.items()} == {
        name: many[label_set] if spec.many_outputs else Task() for name, spec in MODEL_KINDS.items()
    }


def test_targets_are_those_of_the_labels(frozen):
    strategy, arrays = frozen(label_set="dual")
    order = order_for(strategy, arrays.document, code_version="test")
    train = arrays.part("train")
    for task, expected in (
        (Task(), arrays.labels.value[train, None]),
        (Task(outputs=5), arrays.labels.returns[train]),
        (Task(kind="classes", outputs=2), arrays.labels.direction[train]),
    ):
        part = material_of(arrays, replace(order.settings, task=task), strategy.training).train
        np.testing.assert_array_equal(part.examples.target, expected.astype(part.examples.target.dtype))


def test_classes_begin_at_zero(frozen):
    strategy, arrays = frozen(label_set="direction3")
    settings = replace(
        order_for(strategy, arrays.document, code_version="test").settings, task=Task(kind="classes", outputs=3)
    )
    part = material_of(arrays, settings, strategy.training).train
    np.testing.assert_array_equal(part.examples.target, arrays.labels.direction[arrays.part("train")] + 1)
    assert set(np.unique(part.examples.target)) == {0, 1, 2}


def test_newer_and_rarer_rows_weigh_more_where_the_strategy_says_so(frozen):
    window = {"window": {"sessions": 150}}
    strategy, arrays = frozen(label_set="dual", training={**window, "half_life_sessions": 20, "weigh_uniqueness": True})
    settings = order_for(strategy, arrays.document, code_version="test").settings
    weighed = material_of(arrays, settings, strategy.training).train.examples
    assert weighed.weight.mean() == pytest.approx(1, rel=1e-5)
    sessions = weighed.inputs.sessions
    newest = weighed.weight[sessions == sessions.max() - 6].mean()
    oldest = weighed.weight[sessions == sessions.min() + 14].mean()
    assert newest / oldest == pytest.approx(2 ** ((sessions.max() - 6 - sessions.min() - 14) / 20), rel=0.15)
    plain, arrays = frozen(label_set="dual")
    assert material_of(arrays, settings, plain.training).train.examples.weight is None


def test_rows_with_too_few_sessions_before_them_are_left_out_and_counted(frozen):
    strategy, arrays = frozen(
        model={"kind": "lstm", "hyperparameters": {"lookback": 10}}, normalisation=IMPUTED, training={
            "window": {"years": 2}
        },
    )  # fmt: skip
    settings = order_for(strategy, arrays.document, code_version="test").settings
    material = material_of(arrays, settings, strategy.training)
    assert settings.length == 10
    assert material.short["train"] > 0
    assert material.short["train"] + len(material.train.examples) == arrays.part("train").size
    np.testing.assert_array_equal(
        material.train.examples.inputs.sequences(slice(0, 3))[:, -1], material.train.examples.inputs.panel(slice(0, 3))
    )


def test_too_short_a_window_is_refused_with_the_reason(frozen):
    strategy, arrays = frozen(model=QUICK, training={"window": {"sessions": 30}}, label_set="qlib_return")
    order = order_for(strategy, arrays.document, code_version="test")
    with pytest.raises(NotLearnable, match="Use a longer training window"):
        Engine(clock=CLOCK, listener=lambda _: None).train(order, arrays)


def test_inputs_are_rows_of_the_snapshot_by_number(frozen):
    strategy, arrays = frozen(model=QUICK)
    settings = order_for(strategy, arrays.document, code_version="test").settings
    holdout = arrays.part("holdout")
    np.testing.assert_array_equal(inputs_of(arrays, settings, holdout).panel(), arrays.panel(holdout))
