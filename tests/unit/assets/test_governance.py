"""From a trained model to what is live, run by Dagster: judged, decided, rolled out step by step, rolled back."""

from pathlib import Path

import numpy as np
import pytest

from assets.checks.predictions import SLO_REPORT
from assets.keys import DECISION, EXPLANATION, HOLDOUT_EVALUATION, MODEL, PREDICTIONS, ROLLOUT, SEARCH
from quant_pipelines.deployment import Arm, Experiment, approve, arms_of, live_on
from quant_pipelines.lake import Window
from quant_pipelines.lineage import NodeKind
from quant_pipelines.monitoring import errors_of
from quant_pipelines.predictions import PREDICTIONS as TABLE
from quant_pipelines.predictions import ArmRefused, ExperimentRunning, begin, outcomes
from quant_pipelines.strategies import Retrain
from quant_pipelines.triggers import Trigger, started_as
from sensors.triggers import config_of
from tests.governed import failure_of


def test_a_first_model_is_judged_decided_and_goes_live_and_all_of_it_is_traced(governed):
    """S3-13, S3-14, S3-74, S2-134."""
    decided = governed.judge("easy", -30)
    assert decided["verdict"] == "promoted"
    assert decided["champion"] == "none"
    assert Path(decided["page"]).read_text().startswith("<!doctype html>")
    evaluated = governed.latest(HOLDOUT_EVALUATION)
    assert evaluated["times_read"] == 1
    assert evaluated["sessions"] >= 10
    assert {"holdout_f1", "holdout_mse", "holdout_sharpe", "holdout_max_drawdown"} <= evaluated.keys()
    assert governed.live("easy").champion.version.number == 1
    version = governed.resources["models"].open().version("tiny.easy", "champion")
    assert version.state == "deployed"
    found = governed.resources["lineage"].open().dependents("tiny", governed.scene.sessions[-40], table="alpha158")
    assert {NodeKind.SNAPSHOT, NodeKind.MODEL, NodeKind.DECISION} <= {each.kind for each in found.nodes}


def test_a_candidate_climbs_from_shadow_to_everybody_and_every_session_says_who_serves(governed):
    """S1-02, S1-03, S2-85, S1-34."""
    assert governed.judge("easy", -35)["verdict"] == "promoted"
    decided = governed.judge("easy", -20, seed=1)
    assert decided["verdict"] == "promoted", decided["why"]
    stages = [governed.live("easy").candidates[0].stage]
    shares = []
    for place in range(-19, 0):
        moved = governed.day("easy", place)
        live = governed.live("easy")
        stages.append(live.candidates[0].stage if live.candidates else live.champion.stage)
        assert moved["stage"] == stages[-1]
        rows = (
            governed.resources["lake"]
            .open()
            .table("tiny", TABLE)
            .read(Window(governed.scene.sessions[place], governed.scene.sessions[place]))
        )
        served = rows.filter(rows["serves"])
        assert served.num_rows == len(set(served["symbol"].to_pylist())), "exactly one version serves each symbol"
        shares.append(np.mean(np.array(served["version"].to_pylist()) == "tiny.easy/2"))
        told = set(governed.latest(PREDICTIONS)["infer_lineage_id"].split(", "))
        assert set(rows["infer_lineage_id"].to_pylist()) == told
    assert stages == sorted(stages)
    assert set(stages) == {0, 10, 30, 100}
    assert moved["why"].startswith("already_max_stage")
    assert shares[0] == 0
    assert shares[-1] == 1
    earlier = live_on(governed.resources["journal"].open(), "tiny.easy", governed.scene.sessions[-20])
    assert earlier.champion.version.number == 1


def test_a_rollback_by_hand_needs_a_reason_and_brings_back_the_version_before(governed):
    """S1-43."""
    assert governed.judge("easy", -35)["verdict"] == "promoted"
    assert governed.judge("easy", -20, seed=1)["verdict"] == "promoted"
    without = governed.run("move", f"{governed.at(-19)}|easy", {"tiny__rollout": {"move": "roll_back"}})
    assert "Say why" in failure_of(without).description
    before = governed.run("move", f"{governed.at(-22)}|easy")
    assert "Ask for that session or a later one" in failure_of(before).description
    config = {"tiny__rollout": {"move": "roll_back", "why": "it looked odd"}}
    assert governed.run("move", f"{governed.at(-19)}|easy", config).success
    live = governed.live("easy")
    assert (live.candidates, live.champion.version.number) == ((), 1)
    assert governed.resources["models"].open().version("tiny.easy", 2).state == "rolled_back"


def test_a_rejected_candidate_leaves_its_decision_and_changes_nothing(governed):
    """S3-15, S3-74."""
    decided = governed.judge("strict", -20)
    assert decided["verdict"] in {"rejected", "quarantined"}, "noise does not pass the default policy"
    assert governed.live("strict").champion is None
    assert governed.latest(ROLLOUT)["move"] == "skip"


def test_a_full_training_is_judged_with_what_its_search_says_of_luck(governed):
    """S3-57, in one run."""
    started = started_as(Trigger.MONTHLY, "full", Retrain())
    asked = config_of(governed.scene.market, started, Retrain(tune_trials=3))
    given = {name: each["config"] for name, each in asked["ops"].items()}
    assert governed.run("tune_tiny", f"{governed.at(-20)}|strict", given).success
    searched, trained = governed.latest(SEARCH), governed.latest(MODEL)
    assert searched["tried"] == 3
    assert searched["best_parameters"].items() <= trained["hyperparameters"].items()
    judged = governed.latest(HOLDOUT_EVALUATION)
    assert "The best of 3 trials on this snapshot" in judged["settings"]
    assert searched["overfitting"] in judged["settings"]
    assert governed.latest(EXPLANATION)["model"] == trained["model"] == governed.latest(DECISION)["model"]


def test_where_nothing_can_be_searched_the_strategys_own_settings_are_trained_with(governed):
    given = {"tiny__search": {"trials": 2, "folds": 60, "or_own": True}, "tiny__model": {"from_search": True}}
    assert governed.run("tune_tiny", f"{governed.at(-20)}|strict", given).success
    assert "too few for 60 folds" in governed.latest(SEARCH)["why"]
    assert governed.latest(HOLDOUT_EVALUATION)["settings"] == governed.latest(SEARCH)["why"]
    del given["tiny__search"]["or_own"]
    assert (
        "too few for 60 folds" in failure_of(governed.run("tune_tiny", f"{governed.at(-19)}|strict", given)).description
    )


def test_without_anything_live_there_are_no_predictions(governed):
    """S1-75."""
    result = governed.run("predict", governed.at(-1))
    assert not result.success
    assert "no version of strict, easy, signed is live" in failure_of(result).description


def test_errors_of_what_served_appear_once_their_labels_have_resolved(governed):
    """S3-73; and how long versions took to answer is measured, kept and read back (S1-44)."""
    governed.judge("easy", -20)
    for count, place in enumerate((-10, -1), start=1):
        scored = governed.run("predict", governed.at(place))
        assert scored.success
        (judged,) = scored.get_asset_check_evaluations()
        assert (judged.check_name, judged.passed) == (SLO_REPORT, True)
        assert judged.metadata["status"].value == "insufficient_observation"
        assert judged.metadata["observations"].value == count
        (asked,) = governed.latest(PREDICTIONS)["served"].records
        assert asked.data["response_ms"] > 0
        assert governed.run("err", governed.at(place)).success
    errors = errors_of(governed.resources["lake"].open(), "tiny", "easy")
    assert [each.item() for each in errors.session] == [governed.scene.sessions[-10]]
    assert errors.resolves[0].item() == governed.scene.sessions[-8]
    assert errors.absolute_error[0] > 0


def test_an_experiment_divides_the_champions_symbols_and_says_what_its_arms_were_worth(governed):
    """S2-102, S2-126."""
    governed.judge("easy", -35)
    assert governed.judge("easy", -20, seed=1)["verdict"] == "promoted"
    journal, live = governed.resources["journal"].open(), governed.live("easy")
    arms = tuple(
        Arm(name=name, version=each.version, share=0.5)
        for name, each in (("old", live.champion), ("new", live.candidates[0]))
    )
    since = governed.scene.sessions[-19]
    made = Experiment(name="halves", model="tiny.easy", arms=arms, measure="ic", since=since)
    begin(journal, made, actor="a test")
    with pytest.raises(ExperimentRunning, match="halves is running"):
        begin(journal, made.model_copy(update={"name": "other"}), actor="a test")
    with pytest.raises(ArmRefused, match="The first arm"):
        begin(journal, made.model_copy(update={"name": "other", "arms": arms[::-1]}), actor="a test")
    for place in (-19, -18, -17):
        assert governed.run("predict", governed.at(place)).success
    table = governed.resources["lake"].open().table("tiny", TABLE)
    before, during = (table.read(Window(each, each)) for each in governed.scene.sessions[-19:-17])
    assert set(before.filter(before["serves"])["version"].to_pylist()) == {"tiny.easy/1"}
    served = during.filter(during["serves"])
    given = {"old": "tiny.easy/1", "new": "tiny.easy/2"}
    expected = {symbol: given[arm] for symbol, arm in arms_of(made, served["symbol"].to_pylist()).items()}
    assert dict(zip(served["symbol"].to_pylist(), served["version"].to_pylist(), strict=True)) == expected
    found = outcomes(governed.resources["lake"].open(), made, "qlib_return", through=governed.scene.sessions[-16])
    assert [each.session for each in found] == governed.scene.sessions[-19:-17]
    assert all(set(each.values) == {"old", "new"} for each in found)


def test_a_rollout_that_needs_people_waits_for_them_and_then_begins(governed):
    decided = governed.judge("signed", -20)
    assert decided["verdict"] == "promoted"
    assert governed.latest(ROLLOUT)["move"] == "hold"
    assert "approved by nobody" in governed.latest(ROLLOUT)["why"]
    assert governed.live("signed").champion is None
    approve(governed.resources["journal"].open(), decided["decision_id"], person="Ada", role="approver")
    assert governed.run("move", f"{governed.at(-20)}|signed").success
    assert governed.live("signed").champion.version.number == 1
