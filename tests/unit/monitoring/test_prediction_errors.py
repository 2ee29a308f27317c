"""Errors of predictions: joined with what happened, only once it has, and stored strategy by strategy."""

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.lake import Lake, Window
from quant_pipelines.monitoring import (
    PREDICTION_ERRORS,
    BadErrors,
    DecayLimits,
    SessionErrors,
    decay,
    errors_by_strategy,
    errors_of,
    prediction_errors,
    publish_errors,
)
from tests.bars import CLOCK, WRITER

FIRST = datetime(2024, 1, 1)
LIMITS = DecayLimits(recent_sessions=3, factor=1.5, least_values=5)


def day(number: int) -> datetime:
    return FIRST + timedelta(days=number)


def predictions(*rows) -> pa.Table:
    """Rows of (day, symbol, score)."""
    columns = {
        "session": pa.array([day(each[0]) for each in rows], pa.timestamp("us")),
        "symbol": pa.array([each[1] for each in rows], pa.string()),
        "version": pa.array(["m/1"] * len(rows), pa.string()),
        "score": pa.array([each[2] for each in rows], pa.float64()),
    }
    return pa.table(columns)


def labels(*rows, label_set="qlib_return", after=2) -> pa.Table:
    """Rows of (day, symbol, value), each resolved so many days later."""
    columns = {
        "session": pa.array([day(each[0]) for each in rows], pa.timestamp("us")),
        "symbol": pa.array([each[1] for each in rows], pa.string()),
        "label_set": pa.array([label_set] * len(rows), pa.string()),
        "resolves": pa.array([day(each[0] + after) for each in rows], pa.timestamp("us")),
        "value": pa.array([each[2] for each in rows], pa.float64()),
    }
    return pa.table(columns)


def joined(made, happened, *, through=100, strategy="s"):
    return prediction_errors(made, happened, strategy=strategy, label_set="qlib_return", through=day(through))


def test_an_error_is_the_distance_between_prediction_and_return():
    (row,) = joined(predictions((0, "A", 0.02)), labels((0, "A", -0.01))).to_pylist()
    assert row["absolute_error"] == pytest.approx(0.03)
    assert (row["strategy"], row["version"], row["resolves"]) == ("s", "m/1", day(2))


@pytest.mark.parametrize("through", [0, 1, 2, 3])
def test_there_is_no_error_before_the_label_has_resolved(through):
    rows = joined(predictions((0, "A", 0.02)), labels((0, "A", 0.0)), through=through)
    assert rows.num_rows == (through >= 2)


@pytest.mark.parametrize(("score", "value"), [(None, 0.1), (np.nan, 0.1), (np.inf, 0.1), (0.1, None)])
def test_what_cannot_be_measured_is_left_out(score, value):
    assert joined(predictions((0, "A", score)), labels((0, "A", value))).num_rows == 0


def test_only_the_strategys_own_label_set_judges_it():
    made = predictions((0, "A", 0.5))
    assert joined(made, labels((0, "A", 0.5), label_set="dual")).num_rows == 0
    assert joined(made, labels((0, "B", 0.5))).num_rows == 0


@given(
    scores=st.dictionaries(
        st.tuples(st.integers(0, 9), st.sampled_from("ABC")), st.floats(-1, 1), min_size=1, max_size=20
    ),
    known=st.integers(0, 12),
)
def test_errors_are_those_of_a_loop_over_all_pairs(scores, known):
    happened = {key: score / 2 for key, score in scores.items() if key[1] != "C"}
    rows = joined(
        predictions(*((*key, score) for key, score in scores.items())),
        labels(*((*key, value) for key, value in happened.items())),
        through=known,
    ).to_pylist()
    slowly = {key: abs(scores[key] - happened[key]) for key in scores if key in happened and key[0] + 2 <= known}
    assert {((each["session"] - FIRST).days, each["symbol"]): each["absolute_error"] for each in rows} == slowly


def test_errors_are_kept_by_strategy_and_read_by_session(tmp_path):
    lake = Lake(str(tmp_path), clock=CLOCK)
    assert errors_of(lake, "m", "one").sessions == 0
    window = Window(day(0), day(400))
    made = predictions((0, "A", 0.1), (0, "B", 0.3), (400, "A", 0.4))
    happened = labels((0, "A", 0.0), (0, "B", 0.0), (400, "A", 0.0))
    for strategy in ("one", "two"):
        rows = joined(made, happened, through=500, strategy=strategy)
        publish_errors(lake, "m", rows, strategy=strategy, window=window, writer=WRITER)
    found = errors_of(lake, "m", "one")
    np.testing.assert_allclose(found.absolute_error, [0.2, 0.4])
    assert found.session.tolist() == [day(0), day(400)]
    assert found.resolves.tolist() == [day(2), day(402)]
    assert {name: each.sessions for name, each in errors_by_strategy(lake, "m").items()} == {"one": 2, "two": 2}
    empty = PREDICTION_ERRORS.arrow.empty_table()
    publish_errors(lake, "m", empty, strategy="one", window=window, writer=WRITER)
    assert errors_of(lake, "m", "one").sessions == 0
    assert errors_of(lake, "m", "two").sessions == 2


def errors(values, after=1) -> SessionErrors:
    sessions = np.array([day(number) for number in range(len(values))], "datetime64[us]")
    return SessionErrors(sessions, sessions + np.timedelta64(after, "D"), np.array(values, float))


def test_what_was_not_known_yet_is_not_looked_at():
    assert errors([1, 2, 3], after=2).known_at(day(3)).absolute_error.tolist() == [1, 2]


def test_errors_do_not_change_behind_ones_back():
    found = errors([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        found.absolute_error[0] = 9


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s, r, e: (s[::-1], r, e), "oldest first"),
        (lambda s, r, e: (s, r, -e), "negative"),
        (lambda s, r, e: (s, r, e * np.nan), "no number"),
        (lambda s, _, e: (s, s, e), "before its prediction could be judged"),
        (lambda s, r, e: (s, r, e[1:]), "one of each per session"),
    ],
)
def test_errors_that_mean_nothing_are_refused(change, words):
    good = errors([1.0, 2.0])
    copies = (np.array(good.session), np.array(good.resolves), np.array(good.absolute_error))
    with pytest.raises(BadErrors, match=words):
        SessionErrors(*change(*copies))


def test_too_few_sessions_are_no_evidence():
    found = decay(errors([1, 1, 1, 9]), LIMITS)
    assert (found.status, found.decayed, found.recent_avg) == ("insufficient_observation", False, None)


@pytest.mark.parametrize(("recent", "decayed"), [(1.5, False), (1.5001, True), (0.1, False)])
def test_a_decay_is_more_than_the_factor(recent, decayed):
    found = decay(errors([1.0] * 4 + [recent] * 3), LIMITS)
    assert found.status == "ok"
    assert found.decayed is decayed
    assert (found.recent.first, found.recent.last) == (day(4), day(6))
    assert (found.historical.first, found.historical.last) == (day(0), day(3))


@given(values=st.lists(st.floats(0, 1e6), max_size=30))
def test_a_decay_agrees_with_its_definition(values):
    found = decay(errors(values), LIMITS)
    if len(values) < 5:
        assert found.status == "insufficient_observation"
        return
    recent, before = values[-3:], values[:-3]
    assert found.recent_avg == pytest.approx(sum(recent) / 3)
    assert found.historical_avg == pytest.approx(sum(before) / len(before))
    assert found.decayed == (found.recent_avg > 1.5 * found.historical_avg)
