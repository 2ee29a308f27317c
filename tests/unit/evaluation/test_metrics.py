"""Measures against slow definitions and other people's code."""

import numpy as np
import pytest
from scipy import stats

from quant_pipelines.evaluation import measured
from quant_pipelines.evaluation.metrics import Judged, by_session, ranked_by_session
from quant_pipelines.models import Task


def panel(seed: int = 1, sessions: int = 12):
    """Sessions with 2 to 40 names, ties among them, and one in which everything is equal."""
    chance = np.random.default_rng(seed)
    counts = chance.integers(2, 40, sessions)
    session = np.repeat(np.arange(sessions) * 3, counts)
    score = np.round(chance.standard_normal(session.size), 1)
    value = 0.01 * (score + chance.standard_normal(session.size))
    score[session == 6] = 0.1 + 0.2
    order = chance.permutation(session.size)
    return score[order], value[order], session[order].astype(np.int64)


def slowly(correlate, score, value, session):
    found = []
    for each in np.unique(session):
        a, b = score[session == each], value[session == each]
        usable = a.size >= 3 and np.ptp(a) > 0 and np.ptp(b) > 0
        found.append(correlate(a, b)[0] if usable else np.nan)
    return np.array(found)


@pytest.mark.parametrize("seed", range(5))
def test_correlations_by_session_agree_with_scipy(seed):
    score, value, session = panel(seed)
    np.testing.assert_allclose(by_session(score, value, session), slowly(stats.pearsonr, score, value, session), 1e-9)
    np.testing.assert_allclose(
        ranked_by_session(score, value, session), slowly(stats.spearmanr, score, value, session), 1e-9
    )


def judged(task: Task, predictions, target, value=None) -> Judged:
    value = np.asarray(target, np.float64)[..., 0] if value is None else value
    return Judged(
        task=task,
        predictions=np.asarray(predictions, np.float32),
        target=np.asarray(target),
        value=value,
        sessions=np.zeros(len(target), np.int64),
    )


def test_numbers_have_their_measures():
    found = measured(judged(Task(), [[0.5], [1.0], [-1.0]], np.array([[1.0], [1.0], [1.0]], np.float32)))
    assert found["mse"] == pytest.approx((0.25 + 0 + 4) / 3)
    assert found["mae"] == pytest.approx(2.5 / 3)
    assert found["rmse"] == pytest.approx(np.sqrt(found["mse"]))
    assert found["direction_accuracy"] == pytest.approx(2 / 3)
    assert "ic" not in found  # a constant outcome ranks nothing
    assert "accuracy" not in found


def test_classes_have_theirs():
    value = np.array([0.02, -0.02, 0.0, 0.01])
    given = [[0.1, 0.2, 0.7], [0.5, 0.3, 0.2], [0.3, 0.3, 0.4], [0.6, 0.3, 0.1]]
    found = measured(judged(Task(kind="classes", outputs=3), given, np.array([2, 0, 1, 2]), value))
    assert found["accuracy"] == pytest.approx(0.5)
    assert found["log_loss"] == pytest.approx(-np.mean(np.log([0.7, 0.5, 0.3, 0.1])))
    assert found["direction_accuracy"] == pytest.approx(2 / 3)
    assert "mse" not in found


def test_the_score_of_a_path_is_its_whole_return():
    found = Task(outputs=2).signal(np.array([[0.1, 0.1], [-0.5, 1.0]], np.float32))
    np.testing.assert_allclose(found, [0.21, 0.0], atol=1e-7)


def test_nothing_is_measured_on_no_rows():
    assert measured(judged(Task(), np.empty((0, 1)), np.empty((0, 1)))) == {}
