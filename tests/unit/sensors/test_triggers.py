"""The sensor of a market: one run for a strategy and a session, on record, whoever asks again."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import dagster as dg
import pyarrow as pa
import pytest
from dagster._core.execution.api import create_execution_plan

from assets.checks.replay import replay_checks
from assets.keys import key_of
from assets.makers import OF_STRATEGIES
from quant_pipelines.clock import FixedClock
from quant_pipelines.lake import Window
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.monitoring import PREDICTION_ERRORS, publish_errors
from quant_pipelines.settings import Settings
from quant_pipelines.triggers import scheduler_audits
from resources import project_resources
from sensors.jobs import MARKET_TAG, strategy_jobs
from sensors.triggers import sessions_of, trigger_sensor, trigger_sensors
from tests.installation import PROJECT
from tests.unit.snapshots.conftest import WRITER, Scene, strategy

NAMES = ("one", "two")
STRATEGIES = {
    name: strategy(name=name, features=["KMID"], training={"window": {"sessions": 100}}, retrain=retrain)
    for name, retrain in (("one", {"longest_seconds": 600}), ("two", {"weekly": "off"}))
}
THURSDAY, FRIDAY, MONDAY = datetime(2023, 6, 29), datetime(2023, 6, 30), datetime(2023, 7, 3)
NEXT_FRIDAY = datetime(2023, 7, 7)


@pytest.fixture(scope="module")
def published_here(tmp_path_factory):
    return Scene(tmp_path_factory.mktemp("published")).publish()


class Place:
    """A lake, a home, an instance; and the sensor as the daemon asks it."""

    def __init__(self, scene, instance, settings) -> None:
        self.scene, self.instance, self.settings = scene, instance, settings
        self.resources = project_resources(settings)
        self.cursor = None

    def tick(self, at, strategies=STRATEGIES):
        """After the close of a session: what the tick asks for."""
        market = self.scene.market
        sensor = trigger_sensor(market, strategies, clock=FixedClock(at.replace(tzinfo=UTC) + timedelta(hours=12)))
        defs = dg.Definitions(
            assets=[each for make in OF_STRATEGIES for each in make(market, strategies)],
            asset_checks=list(replay_checks(market, strategies)),
            jobs=strategy_jobs(market, strategies),
            sensors=[sensor],
            resources=self.resources,
        )
        given = {name: self.resources[name] for name in ("lake", "triggers")}
        self.definitions = defs
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources=given, repository_def=defs.get_repository_def()
        ) as context:
            found = sensor.evaluate_tick(context)
        self.cursor = found.cursor
        return found

    def audits(self, **chosen):
        return [each.audit for each in scheduler_audits(self.resources["triggers"].journal(), last=100, **chosen)]


@pytest.fixture
def place(tmp_path, published_here, monkeypatch):
    monkeypatch.setenv("QP_PROJECT", str(PROJECT))
    monkeypatch.delenv("QP_DATABASE_URL", raising=False)
    shutil.copytree(published_here.folder / "lake", tmp_path / "lake")
    with dg.DagsterInstance.ephemeral() as instance:
        yield Place(Scene(tmp_path), instance, Settings(project=PROJECT, home=tmp_path))


def test_it_is_stopped_until_somebody_switches_it_on(published_here):
    (sensor,) = trigger_sensors(published_here.market, STRATEGIES)
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert trigger_sensors(published_here.market, {}) == []


def test_a_quarters_end_starts_one_full_training_for_each_strategy(place):
    """S3-51, S3-53, X-22/23."""
    requests = place.tick(FRIDAY).run_requests
    assert [each.partition_key for each in requests] == ["2023-06-30|one", "2023-06-30|two"]
    assert [each.job_name for each in requests] == ["tune_tiny", "tune_tiny"]
    tags = requests[0].tags
    assert (tags["trigger"], tags["trigger_reasons"]) == ("quarterly", "monthly,quarterly,weekly")
    assert (tags["mode"], tags[MARKET_TAG]) == ("full", "tiny")
    assert (tags["dagster/priority"], tags["dagster/max_runtime"]) == ("20", "600")
    started = json.loads(tags["quant_pipelines/started"])
    assert (started["do_cv_tune"], started["use_improved_training"]) == (True, False)


def steps(place, request):
    """What the launched run would do, in order; checks left out."""
    job = place.definitions.resolve_job_def(request.job_name)
    plan = create_execution_plan(job, run_config=request.run_config)
    ordered = [each.key.removeprefix("tiny__") for each in plan.get_all_steps_in_topo_order()]
    return [name for name in ordered if key_of(place.scene.market, name) in job.asset_layer.executable_asset_keys]


def test_a_full_training_searches_first_trains_with_what_was_found_and_explains_it(place):
    """S3-57."""
    request = place.tick(FRIDAY).run_requests[0]
    found = steps(place, request)
    assert found[:3] == ["snapshot", "search", "model"]
    assert sorted(found[3:]) == ["decision", "explanation", "holdout_evaluation", "rollout"]
    assert found.index("holdout_evaluation") < found.index("decision") < found.index("rollout")
    given = {name: each["config"] for name, each in request.run_config["ops"].items()}
    assert given["tiny__search"] == {"trials": 20, "seconds": 300.0, "or_own": True}, "half of the time it may take"
    assert given["tiny__model"] == {"from_search": True}


def test_a_weeks_end_starts_what_the_policy_says(place):
    """S3-49, S3-56."""
    (request,) = place.tick(NEXT_FRIDAY).run_requests
    assert (request.partition_key, request.job_name) == ("2023-07-07|one", "train_tiny")
    assert (request.tags["trigger"], request.tags["mode"]) == ("weekly", "incremental")
    assert json.loads(request.tags["quant_pipelines/started"])["window_months"] == 6
    assert request.run_config["ops"]["tiny__snapshot"]["config"] == {"months": 6}
    assert request.run_config["ops"]["tiny__holdout_evaluation"]["config"] == {"incremental": True}
    assert steps(place, request) == ["snapshot", "model", "holdout_evaluation", "decision", "rollout"]
    (two,) = place.audits(market="tiny", strategy="two")
    assert two.decision.reason == "the strategy's policy switches off weekly"


def test_a_tick_that_starts_nothing_tells_window_thresholds_and_decision(place):
    """S1-42."""
    found = place.tick(THURSDAY)
    assert not found.run_requests
    for part in ("tiny.one after 2023-06-29", "window", "thresholds factor 1.5", "decision none"):
        assert part in found.skip_message
    assert "was asked after 2023-06-29" in place.tick(THURSDAY).skip_message


def test_the_environments_thresholds_count_and_are_on_record(place, monkeypatch):
    """S1-42."""
    monkeypatch.setenv("QP_TRIGGER_DECAY_FACTOR", "2.5")
    assert "factor 2.5" in place.tick(THURSDAY).skip_message
    assert {each.thresholds.decay_factor for each in place.audits()} == {2.5}


def stored_errors(place, *, recent, strategy="one"):
    """Small errors until a month ago, then these; each known a session later."""
    sessions = [each for each in place.scene.sessions if each <= THURSDAY]
    signals = sessions[:-1]
    rows = [
        {
            "session": signal, "symbol": "600000.SH", "strategy": strategy, "version": "tiny.one/1", "score": 0.0,
            "value": value, "absolute_error": value, "resolves": after,
        }
        for signal, after, value in zip(
            signals, sessions[1:], [0.01] * (len(signals) - 20) + [recent] * 20, strict=True
        )
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=PREDICTION_ERRORS.arrow)
    window = Window(signals[0], signals[-1])
    publish_errors(place.scene.lake, "tiny", table, strategy=strategy, window=window, writer=WRITER)


def test_errors_that_are_stored_start_a_training_and_then_cool_down(place):
    """S3-52, S3-73, X-24."""
    stored_errors(place, recent=0.02)
    (request,) = place.tick(THURSDAY).run_requests
    assert request.partition_key == "2023-06-29|one"
    assert (request.tags["trigger"], request.tags["mode"]) == ("performance_decay", "full")
    assert request.tags["dagster/priority"] == "10"
    one, two = place.audits()
    assert one.decision.performance_recent_avg == pytest.approx(0.02)
    assert one.decision.performance_historical_avg == pytest.approx(0.01)
    assert two.decision.status == "insufficient_observation"
    tags = place.tick(FRIDAY).run_requests[0].tags
    assert tags["trigger_reasons"] == "monthly,quarterly,weekly"
    assert place.audits(market="tiny", strategy="one")[-1].decision.status == "cooldown"


def test_the_environment_can_make_a_decay_of_what_was_none(place, monkeypatch):
    """S1-42."""
    stored_errors(place, recent=0.014)
    assert not place.tick(THURSDAY - timedelta(days=1)).run_requests
    monkeypatch.setenv("QP_TRIGGER_DECAY_FACTOR", "1.2")
    (request,) = place.tick(THURSDAY).run_requests
    assert request.tags["trigger"] == "performance_decay"


def test_asked_again_it_asks_for_the_same_runs_and_writes_nothing_new(place):
    """The daemon died before it stored the cursor: Dagster knows the run keys."""
    first = [each.run_key for each in place.tick(FRIDAY).run_requests]
    place.cursor = None
    assert [each.run_key for each in place.tick(FRIDAY).run_requests] == first
    assert first == [f"scheduler_audit_log:tiny:{name}:2023-06-30" for name in NAMES]
    assert len(place.audits()) == 2


def test_sessions_that_were_missed_are_evaluated_in_order(place):
    place.tick(THURSDAY)
    asked = [each.partition_key for each in place.tick(datetime(2023, 7, 20)).run_requests]
    assert asked == ["2023-06-30|one", "2023-06-30|two"]
    assert [each.partition_key for each in place.tick(datetime(2023, 7, 20)).run_requests] == ["2023-07-07|one"]
    assert [each.partition_key for each in place.tick(datetime(2023, 7, 20)).run_requests] == ["2023-07-14|one"]
    assert not place.tick(datetime(2023, 7, 20)).run_requests
    for name in NAMES:
        sessions = [each.window.session for each in place.audits(market="tiny", strategy=name)]
        assert sessions == place.scene.market.sessions_calendar.sessions(THURSDAY, datetime(2023, 7, 20))


def test_a_clock_that_goes_back_evaluates_nothing_twice(place):
    place.tick(MONDAY)
    before = place.cursor
    assert not place.tick(THURSDAY).run_requests
    assert place.cursor == before
    assert len(place.audits()) == 2


def without_prices(place, session):
    table = place.scene.lake.table("tiny", PRICES)
    there = table.read(Window(session, session))
    table.replace(there.slice(0, 0), window=Window(session, session), writer=WRITER)
    return there


def test_a_session_without_its_inputs_is_waited_for(place):
    there = without_prices(place, FRIDAY)
    found = place.tick(FRIDAY)
    assert "not there yet for one (2023-06-30)" in found.skip_message
    assert place.audits() == []
    place.scene.lake.table("tiny", PRICES).replace(there, window=Window(FRIDAY, FRIDAY), writer=WRITER)
    assert len(place.tick(MONDAY).run_requests) == 2


def test_a_session_that_never_gets_its_inputs_is_on_record_and_left_behind(place):
    without_prices(place, FRIDAY)
    place.tick(FRIDAY)
    assert not place.tick(MONDAY).run_requests
    friday, monday = place.audits(market="tiny", strategy="one")
    assert "no model inputs" in friday.decision.reason
    assert (friday.decision.quarterly, friday.decision.trigger) == (True, None)
    assert monday.window.session == MONDAY
    assert sessions_of(place.cursor) == dict.fromkeys(NAMES, MONDAY)


def test_a_strategy_that_is_added_begins_with_the_session_that_just_closed(place):
    place.tick(THURSDAY, {"one": STRATEGIES["one"]})
    place.tick(datetime(2023, 7, 4))
    place.tick(datetime(2023, 7, 4))
    assert [each.window.session for each in place.audits(market="tiny", strategy="two")] == [datetime(2023, 7, 4)]
