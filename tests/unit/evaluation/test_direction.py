"""Counts of directions against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from quant_pipelines.evaluation import direction
from quant_pipelines.evaluation.direction import SIGN, Directions, Thresholds, directions, of_classes, of_returns
from quant_pipelines.evaluation.failures import BadEvaluation
from quant_pipelines.evaluation.metrics import Judged
from quant_pipelines.labels import LABEL_SETS
from quant_pipelines.labels.build import direction as label_direction
from quant_pipelines.models import Task

THREE = Thresholds(up_above=0.005, down_below=-0.005)
CLASSES = st.sampled_from([-1, 0, 1])
PAIRS = st.lists(st.tuples(CLASSES, CLASSES), min_size=1, max_size=40)
ORACLES = {
    "accuracy": oracle.accuracy_score,
    "f1": lambda actual, forecast: oracle.f1_score(actual == 1, forecast == 1, zero_division=0),
    "balanced_f1": lambda actual, forecast: oracle.f1_score(actual, forecast, average="macro", zero_division=0),
    "mcc": oracle.matthews_corrcoef,
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ORACLES)
@given(pairs=PAIRS)
def test_counts_give_what_scikit_learn_gives(name, pairs):
    actual, forecast = np.array(pairs, np.int8).T
    found = getattr(direction, name)(Directions(forecast=forecast, actual=actual).counts)
    assert float(found) == pytest.approx(ORACLES[name](actual, forecast), abs=1e-12)


@given(pairs=PAIRS)
def test_shares_are_those_of_what_was_forecast(pairs):
    actual, forecast = np.array(pairs, np.int8).T
    found = direction.shares(Directions(forecast=forecast, actual=actual).counts)
    assert found == pytest.approx({name: np.mean(forecast == place - 1) for place, name in enumerate(found)})
    assert list(found) == ["down", "neutral", "up"]


def test_a_constant_up_model_flatters_f1_and_nothing_else():
    actual = np.array([1, -1] * 20, np.int8)
    counts = Directions(forecast=np.ones(40, np.int8), actual=actual).counts
    assert direction.f1(counts) == pytest.approx(2 / 3)
    assert direction.balanced_f1(counts) == pytest.approx(1 / 3)
    assert direction.mcc(counts) == 0


@pytest.mark.parametrize("name", ["direction3", "dual"])
def test_returns_have_the_class_that_the_label_set_gives_them(name):
    classes = LABEL_SETS[name].classes
    assert classes is not None
    edges = np.array([0.0, 0.005, -0.005, 100.5 / 100 - 1, 99.5 / 100 - 1, 0.0051, -0.0051, 0.3, -0.3])
    labels = label_direction(edges, classes)
    expected = labels if classes.down_below is not None else np.where(labels > 0, 1, -1)
    np.testing.assert_array_equal(of_returns(edges, classes), expected)


def judged(task, predictions, target, value):
    return Judged(
        task=task,
        predictions=np.asarray(predictions, np.float32),
        target=np.asarray(target),
        value=np.asarray(value, np.float64),
        sessions=np.zeros(len(value), np.int64),
    )


def test_numbers_are_up_where_the_label_would_be():
    value = [0.01, 0.001, -0.02]
    given_scores = judged(Task(), [[0.006], [-0.006], [0.0]], np.array(value)[:, None], value)
    found = directions(given_scores, THREE)
    assert found.forecast.tolist() == [1, -1, 0]
    assert found.actual.tolist() == [1, 0, -1]
    assert directions(given_scores, SIGN).forecast.tolist() == [1, -1, -1]


def test_the_likeliest_class_is_the_forecast():
    three = judged(Task(kind="classes", outputs=3), [[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], [0, 1], [0.0, 0.0])
    assert directions(three).forecast.tolist() == [-1, 1]
    assert directions(three).actual.tolist() == [-1, 0]
    two = judged(Task(kind="classes", outputs=2), [[0.5, 0.4], [0.1, 0.8]], [1, 0], [0.0, 0.0])
    assert directions(two).forecast.tolist() == [-1, 1]
    assert directions(two).actual.tolist() == [1, -1]


def test_more_classes_are_no_directions():
    with pytest.raises(BadEvaluation, match="5 classes are no directions"):
        of_classes(np.arange(5), Task(kind="classes", outputs=5))
