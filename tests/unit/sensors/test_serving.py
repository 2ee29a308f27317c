"""What keeps serving going: sessions are scored once, rollouts are asked for their next move, and all is on record."""

import dagster as dg
import pytest
from dagster._core.utils import make_new_run_id

from assets.checks.replay import replay_checks
from assets.makers import OF_STRATEGIES
from quant_pipelines.deployment import HELD
from quant_pipelines.monitoring import incidents
from sensors.jobs import strategy_jobs
from sensors.serving import prediction_sensor, rollout_sensor
from tests.governed import STRATEGIES


@pytest.fixture
def place(governed):
    return Place(governed)


class Place:
    """The graph, and its sensors as the daemon asks them."""

    def __init__(self, governed) -> None:
        self.graph, market = governed, governed.scene.market
        self.definitions = dg.Definitions(
            assets=[each for make in OF_STRATEGIES for each in make(market, STRATEGIES)],
            asset_checks=list(replay_checks(market, STRATEGIES)),
            jobs=strategy_jobs(market, STRATEGIES),
            resources=governed.resources,
        )

    def tick(self, make, *resources: str):
        given = {name: self.graph.resources[name] for name in resources}
        context = dg.build_sensor_context(
            instance=self.graph.instance, resources=given, repository_def=self.definitions.get_repository_def()
        )
        with context:
            return make(self.graph.scene.market, STRATEGIES).evaluate_tick(context)

    def predictions(self):
        return self.tick(prediction_sensor, "lake", "journal")

    def rollouts(self):
        return self.tick(rollout_sensor, "lake", "journal", "models")


def test_the_newest_session_is_scored_once_something_is_live_and_only_once(place):
    assert "Nothing is live in tiny" in place.predictions().skip_message
    place.graph.judge("easy", -20)
    (request,) = place.predictions().run_requests
    assert request.partition_key == place.graph.at(-1)
    assert place.predictions().run_requests[0].run_key == request.run_key
    assert place.graph.run("predict", place.graph.at(-1)).success
    assert "is scored" in place.predictions().skip_message


def test_a_rollout_moves_when_its_sessions_have_gone_by_and_what_holds_it_is_on_record(place):
    """S1-01, S1-02, S1-03."""
    graph = place.graph
    assert graph.judge("easy", -35)["verdict"] == "promoted"
    assert graph.judge("easy", -20, seed=1)["verdict"] == "promoted"
    moved = []
    for at in range(-19, -8):
        assert graph.run("predict", graph.at(at)).success
        tick = place.rollouts()
        if not tick.run_requests:
            assert "easy: hold" in tick.skip_message
            continue
        (request,) = tick.run_requests
        assert place.rollouts().run_requests[0].run_key == request.run_key, "asked for once"
        assert graph.run("move", f"{graph.at(at)}|easy").success
        moved.append(graph.live("easy").candidates[0].stage)
    assert moved[:2] == [10, 30]
    held = [HELD.of(row) for row in graph.resources["journal"].open().rows(kind=HELD.name, subject="tiny.easy")]
    assert {each.step.why for each in held} >= {"soaking"}
    assert "strict: nothing is live" in place.rollouts().skip_message


def ended(place, request, status):
    """A run of the request that ended so, as Dagster keeps it."""
    run = dg.DagsterRun(job_name="rollout_tiny", run_id=make_new_run_id(), status=status, tags=dict(request.tags))
    place.graph.instance.add_run(run)


def test_a_move_that_failed_is_asked_for_again_twice_and_then_waits_for_a_person(place):
    graph = place.graph
    assert graph.run("decide", f"{graph.at(-20)}|easy").success
    keys = []
    for _ in range(3):
        (request,) = place.rollouts().run_requests
        keys.append(request.run_key)
        ended(place, request, dg.DagsterRunStatus.FAILURE)
    assert [key.rsplit(":", 1)[1] for key in keys] == ["0", "1", "2"]
    assert len({key.rsplit(":", 1)[0] for key in keys}) == 1
    for _ in range(2):
        assert "not asked for again" in place.rollouts().skip_message
    (found,) = incidents(graph.resources["lake"].open()).to_pylist()
    assert found["job"] == "rollouts_of_tiny"
    assert f"3 runs of {keys[0].rsplit(':', 1)[0]} failed" in found["message"]


def test_predictions_that_failed_are_asked_for_again_and_those_under_way_are_not(place):
    place.graph.judge("easy", -20)
    (first,) = place.predictions().run_requests
    ended(place, first, dg.DagsterRunStatus.FAILURE)
    (second,) = place.predictions().run_requests
    assert second.run_key != first.run_key
    ended(place, second, dg.DagsterRunStatus.STARTED)
    assert "was launched already" in place.predictions().skip_message


def test_a_decision_that_nobody_has_acted_on_begins_its_rollout(place):
    graph = place.graph
    assert graph.run("decide", f"{graph.at(-20)}|easy").success
    (request,) = place.rollouts().run_requests
    assert request.tags["quant_pipelines/why"] == "begin"
    assert request.partition_key == f"{graph.at(-20)}|easy"
    assert graph.run("move", request.partition_key).success
    assert graph.live("easy").champion.version.number == 1
    assert place.rollouts().run_requests == []
