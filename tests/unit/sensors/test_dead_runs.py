"""Dead runs are failed, living ones are left alone (R3)."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from resources.lease import held_lease
from sensors.dead_runs import GRACE, fail_dead_runs


@pytest.fixture
def instance(tmp_path):
    with dg.instance_for_test(temp_dir=str(tmp_path)) as made:
        yield made


def started(instance: dg.DagsterInstance) -> dg.DagsterRun:
    run = instance.create_run_for_job(dg.job(name="long")(lambda: None))
    event = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_START.value, "long")
    instance.report_dagster_event(event, run.run_id)
    return run


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status.value


LATER = timedelta(seconds=1) + GRACE


def test_a_run_without_a_holder_is_failed(instance, tmp_path):
    run = started(instance)
    assert fail_dead_runs(instance, tmp_path / "leases", now=datetime.now(UTC) + LATER) == [run.run_id]
    assert status(instance, run) == "FAILURE"


def test_a_run_that_holds_its_lease_is_left_alone(instance, tmp_path):
    run = started(instance)
    with held_lease(tmp_path / "leases", run.run_id):
        assert fail_dead_runs(instance, tmp_path / "leases", now=datetime.now(UTC) + LATER) == []
    assert status(instance, run) == "STARTED"


def test_a_run_that_only_just_started_is_left_alone(instance, tmp_path):
    run = started(instance)
    assert fail_dead_runs(instance, tmp_path / "leases", now=datetime.now(UTC)) == []
    assert status(instance, run) == "STARTED"


def test_a_dead_run_that_was_being_cancelled_is_cancelled_and_not_started_again(instance, tmp_path):
    run = started(instance)
    instance.report_run_canceling(run)
    fail_dead_runs(instance, tmp_path / "leases", now=datetime.now(UTC) + LATER)
    assert status(instance, run) == "CANCELED"
