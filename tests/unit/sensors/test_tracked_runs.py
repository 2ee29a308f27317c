"""Runs of MLflow that nobody will end any more are ended; those of the living are left alone."""

import shutil

import dagster as dg
import pytest

from quant_pipelines.clock import SystemClock
from quant_pipelines.registry.mlflow.client import Mlflow
from quant_pipelines.registry.mlflow.tracker import MlflowRuns
from resources.models import RUN_TAG
from sensors.tracked_runs import close_left_open
from tests.stored import migrated, place_in


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return migrated(tmp_path_factory.mktemp("migrated"))


@pytest.fixture
def place(tmp_path, empty):
    shutil.copyfile(empty, tmp_path / "mlflow.db")
    return place_in(tmp_path)


@pytest.fixture
def tracker(place):
    return MlflowRuns(place, clock=SystemClock())


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run_in(instance, status: dg.DagsterRunStatus) -> str:
    return instance.create_run_for_job(dg.job(name="training")(lambda: None), status=status).run_id


def told(place, run_id: str) -> tuple[str, str]:
    """Its status, and why it was ended for it."""
    run = Mlflow(place).client.get_run(run_id)
    return run.info.status, run.data.tags.get("abandoned", "")


@pytest.mark.parametrize(
    ("ended", "closed"),
    [
        (dg.DagsterRunStatus.FAILURE, "FAILED"),
        (dg.DagsterRunStatus.CANCELED, "KILLED"),
        (dg.DagsterRunStatus.SUCCESS, "FAILED"),
    ],
)
def test_a_run_that_was_left_open_is_ended_and_says_why(instance, tracker, place, ended, closed):
    run_id = run_in(instance, ended)
    left = tracker.start("demo", "a training", tags={RUN_TAG: run_id})
    trial = tracker.start("demo", "a trial", tags={RUN_TAG: run_id}, parent=left.id)
    assert set(close_left_open(instance, tracker)) == {left.id, trial.id}
    status, why = told(place, left.id)
    assert status == closed
    assert f"Dagster's run {run_id} ended as {ended.value}" in why
    assert close_left_open(instance, tracker) == []


def test_a_run_whose_training_goes_on_is_left_alone(instance, tracker, place):
    alive = tracker.start("demo", "a training", tags={RUN_TAG: run_in(instance, dg.DagsterRunStatus.STARTED)})
    assert close_left_open(instance, tracker) == []
    assert told(place, alive.id) == ("RUNNING", "")


def test_a_run_that_ended_by_itself_stays_as_it_is(instance, tracker, place):
    ended = tracker.start("demo", "a training", tags={RUN_TAG: run_in(instance, dg.DagsterRunStatus.SUCCESS)})
    ended.end("FINISHED")
    assert close_left_open(instance, tracker) == []
    assert not tracker.abandon(ended.id, "FAILED", why="somebody looked before it had ended")
    assert told(place, ended.id) == ("FINISHED", "")


def test_runs_of_others_are_left_alone(instance, tracker, place):
    """Another installation's on the same server, and what a person has made."""
    other = tracker.start("demo", "elsewhere", tags={RUN_TAG: "00000000-0000-0000-0000-000000000000"})
    own = tracker.start("demo", "by hand")
    assert close_left_open(instance, tracker) == []
    assert {told(place, each.id) for each in (other, own)} == {("RUNNING", "")}
