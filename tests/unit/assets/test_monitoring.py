"""What is watched of a model that serves, run by Dagster: read after each session, judged, and raised as alerts."""

import numpy as np
import pytest

from assets.keys import MODEL_MONITORING, PREDICTIONS
from quant_pipelines.lake import Window
from quant_pipelines.monitoring import MODEL_MONITORING as TABLE
from quant_pipelines.monitoring import PREDICTION_ERRORS, alerts, drift
from quant_pipelines.predictions import PREDICTIONS as PREDICTED
from quant_pipelines.predictions.watching import PARTS, parts_of
from quant_pipelines.snapshots import load
from tests.governed import STRATEGIES, failure_of

RECENT = 3


@pytest.fixture
def served(governed):
    """Live since session -10, scored at the five after it; errors of what had resolved."""
    assert governed.judge("easy", -10)["verdict"] == "promoted"
    for place in range(-9, -4):
        assert governed.run("predict_tiny", governed.at(place)).success
        assert governed.run("err", governed.at(place)).success
    return governed


def read(governed, place: int) -> dict[str, dict]:
    session = governed.scene.sessions[place]
    lake = governed.resources["lake"].open()
    return {row["metric"]: row for row in lake.table("tiny", TABLE).read(Window(session, session)).to_pylist()}


def raised(governed):
    return alerts(governed.resources["journal"].open())


def test_each_scoring_is_followed_by_a_reading_of_each_metric(served):
    """S2-87, S2-118."""
    found = read(served, -5)
    assert found.keys() == {"accuracy_drop", "latency_ms", "drift_score"}
    assert {each["version"] for each in found.values()} == {"tiny.easy/1"}
    assert found["latency_ms"]["value"] == max(
        row.data["response_ms"] for row in served.latest(PREDICTIONS)["served"].records
    )
    assert "Moved most: " in found["drift_score"]["about"]
    shown = served.latest(MODEL_MONITORING)
    assert shown["drift_score_easy"] == found["drift_score"]["value"]
    assert {row.data["most"] for row in shown["readings"].records} == {0.05, 1000, 0.3}


def test_the_first_sessions_of_a_version_say_that_they_are_too_few(served):
    """X-42."""
    found = read(served, -9)["drift_score"]
    assert (found["value"], found["observations"]) == (None, 1)
    assert found["about"] == "1 sessions have an inference, 3 are needed."


def test_accuracy_is_that_of_the_holdout_less_that_of_errors_that_were_known_by_then(served):
    """S2-118. Counted anew, row by row."""
    session = served.scene.sessions[-5]
    assert served.run("predict_tiny", served.at(-5)).success
    found = read(served, -5)["accuracy_drop"]
    rows = served.resources["lake"].open().table("tiny", PREDICTION_ERRORS).read().to_pylist()
    known = [each for each in rows if each["resolves"] <= session]
    last = sorted({each["session"] for each in known})[-RECENT:]
    pointed = [each["score"] * each["value"] > 0 for each in known if each["session"] in last and each["value"] != 0]
    (decided,) = [row.payload["evidence"] for row in served.resources["journal"].open().rows(kind="decision")]
    before = decided["candidate"]["measures"]["direction_accuracy"]["value"]
    assert found["value"] == pytest.approx(before - np.mean(pointed))
    assert found["observations"] == RECENT


def test_drift_is_between_what_was_given_at_the_last_sessions_and_what_was_trained_on(served):
    """S2-87."""
    store = served.resources["snapshots"].open()
    lake = served.resources["lake"].open()
    rows = lake.table("tiny", PREDICTED).read().to_pylist()
    sessions = sorted({each["session"] for each in rows})[-RECENT:]
    ids = {each["infer_lineage_id"] for each in rows if each["session"] in sessions}
    given = np.concatenate([load(store, store.document(each)).panel() for each in ids])
    (decided,) = served.resources["journal"].open().rows(kind="decision")
    trained = load(store, store.document(decided.payload["evidence"]["snapshot_id"]))
    learned, parts = trained.part("train"), parts_of(trained, RECENT)
    found = drift(trained.panel(learned), [trained.panel(each) for each in parts], given, trained.columns)
    assert read(served, -5)["drift_score"]["value"] == pytest.approx(found.score)
    assert f"lie {found.usual:.2f} from all of it" in read(served, -5)["drift_score"]["about"]


def test_parts_of_a_training_are_whole_sessions_side_by_side_and_spread_over_it(governed):
    scene = governed.scene
    arrays = load(scene.store, scene.builder().build(STRATEGIES["easy"], scene.sessions[-1]).document)
    place = arrays.session[arrays.samples]
    learned = arrays.part("train")
    for sessions in (1, 3, 20, 500):
        parts = parts_of(arrays, sessions)
        assert len(parts) <= PARTS
        seen = [np.unique(place[each]) for each in parts]
        assert all(each.size == sessions for each in seen)
        assert all(np.isin(each, learned).all() for each in parts)
        assert len(np.concatenate([*seen, np.empty(0)])) == len({*np.concatenate([*seen, np.empty(0)])}), "none twice"
        assert all(each.size == np.isin(place[learned], there).sum() for each, there in zip(parts, seen, strict=True))


def test_what_is_beyond_its_limit_is_an_alert_and_a_failed_check_and_is_over_when_it_is_within_again(served):
    """S2-88, S2-118."""
    served.limits(drift_score=0.0001, latency_ms=0.001)
    result = served.run("predict_tiny", served.at(-4))
    assert result.success, "nothing waits for it"
    checks = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert [checks[name].passed for name in ("drift_score", "latency_ms")] == [False, False]
    assert "1 of them beyond 0.0001" in checks["drift_score"].description
    assert {"tiny.easy/1:drift_score:" + served.at(-4), "tiny.easy/1:latency_ms:" + served.at(-4)} <= {
        each.id for each in raised(served)
    }
    served.limits(drift_score=1, latency_ms=1e6, accuracy_drop=1)
    assert served.run("predict_tiny", served.at(-3)).success
    assert [each.is_open for each in raised(served)] == [False] * len(raised(served))


def test_what_is_read_of_an_older_session_alarms_nobody(served):
    before = raised(served)
    served.limits(drift_score=0.0001, latency_ms=0.001, accuracy_drop=0)
    assert served.run("predict_tiny", served.at(-6)).success
    assert read(served, -6)["latency_ms"]["value"] > 0.001
    assert raised(served) == before


def test_what_cannot_be_read_says_why_is_told_and_keeps_nobody_from_the_rest(served):
    """S2-106: the snapshot that it was trained on is damaged; the other metrics are read, and the run fails."""
    store = served.resources["snapshots"].open()
    (decided,) = served.resources["journal"].open().rows(kind="decision")
    document = store.document(decided.payload["evidence"]["snapshot_id"])
    (store.local.root / "documents" / f"{document.id}.json").write_bytes(b"rubbish")
    served.limits(latency_ms=0.001)
    assert "rubbish" not in failure_of(served.run("watch", served.at(-5))).description
    found = read(served, -5)
    assert found["drift_score"]["value"] is None
    assert found["drift_score"]["about"].startswith("It could not be read: ")
    assert found["accuracy_drop"]["value"] is not None
    assert "tiny.easy/1:latency_ms:" + served.at(-5) in {each.id for each in raised(served) if each.is_open}


def test_where_nothing_is_live_nothing_is_read(governed):
    assert governed.run("watch", governed.at(-5)).success
    assert read(governed, -5) == {}
    assert governed.latest(MODEL_MONITORING)["rows"] == 0
