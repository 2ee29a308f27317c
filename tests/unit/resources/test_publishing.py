"""While a run publishes nobody ends it, and a run that was ended publishes nothing (R2): the same on both databases."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import StepMaterializationData

from resources.publishing import RunCannotBeHeld, RunIsOver, publishing

PROJECT = Path(__file__).parents[3]
LOOK_SECONDS = 0.5
WAIT_SECONDS = 30.0


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def instance(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    for name, value in {"QP_PROJECT": str(PROJECT), "DAGSTER_HOME": str(PROJECT), "QP_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("QP_DATABASE_URL", raising=False)
    if request.param == "postgres":
        monkeypatch.setenv("QP_DATABASE_URL", request.getfixturevalue("new_database")())
    with dg.DagsterInstance.get() as made:
        yield made


def started(instance: dg.DagsterInstance) -> dg.DagsterRun:
    run = instance.create_run_for_job(dg.job(name="long")(lambda: None))
    instance.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.PIPELINE_START.value, "long"), run.run_id)
    return run


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status.value


ENDINGS = {
    "FAILURE": lambda instance, run: instance.report_run_failed(run),
    "CANCELING": lambda instance, run: instance.report_run_canceling(run),
    "CANCELED": lambda instance, run: instance.report_run_canceled(run),
    "deleted": lambda instance, run: instance.delete_run(run.run_id),
}


@pytest.mark.parametrize("how", ENDINGS)
def test_a_run_that_was_ended_publishes_nothing(instance, how):
    run, published = started(instance), []
    with publishing(instance, run.run_id):
        published.append("while it counts")
    ENDINGS[how](instance, run)
    with pytest.raises(RunIsOver, match=how), publishing(instance, run.run_id):
        published.append("when it is over")
    assert published == ["while it counts"]


@pytest.mark.parametrize("how", ENDINGS)
def test_who_ends_a_run_that_publishes_waits_until_it_is_done(instance, how):
    run = started(instance)
    with ThreadPoolExecutor(1) as pool:
        with publishing(instance, run.run_id):
            ending = pool.submit(ENDINGS[how], instance, run)
            assert wait_for([ending], timeout=LOOK_SECONDS).not_done
            assert status(instance, run) == "STARTED"
        ending.result(WAIT_SECONDS)
    with pytest.raises(RunIsOver), publishing(instance, run.run_id):
        pass


def test_a_run_that_publishes_writes_its_own_events_meanwhile(instance):
    """It would wait for itself for ever otherwise."""
    run = started(instance)
    materialised = dg.DagsterEvent(
        dg.DagsterEventType.ASSET_MATERIALIZATION.value,
        "long",
        event_specific_data=StepMaterializationData(dg.AssetMaterialization("a", partition="p")),
    )
    with publishing(instance, run.run_id):
        instance.report_dagster_event(materialised, run.run_id)
        instance.report_engine_event("at work", run)
    assert instance.get_materialized_partitions(dg.AssetKey("a")) == {"p"}


def test_a_failure_while_publishing_is_told_as_it_is_and_lets_the_run_go(instance):
    run = started(instance)
    with pytest.raises(ZeroDivisionError), publishing(instance, run.run_id):
        raise ZeroDivisionError
    instance.report_run_failed(run)
    assert status(instance, run) == "FAILURE"


def test_a_run_that_publishes_stands_in_the_way_of_no_other(instance):
    """SQLite's own lock is the whole file: no other run could start or end while one commits to a slow store."""
    slow, other = started(instance), started(instance)
    with publishing(instance, slow.run_id):
        with publishing(instance, other.run_id):
            pass
        instance.add_run_tags(other.run_id, {"somebody": "looked"})
        instance.report_run_failed(other)
        third = started(instance)
    assert (status(instance, other), status(instance, third)) == ("FAILURE", "STARTED")


def test_nothing_of_a_run_that_is_over_stays_behind(instance, tmp_path):
    """On SQLite a lock is a file."""
    run = started(instance)
    with publishing(instance, run.run_id):
        held = list(tmp_path.rglob("held/*"))
    instance.report_run_failed(run)
    assert len(held) <= 1
    assert list(tmp_path.rglob("held/*")) == []


def test_a_lock_that_cannot_be_had_is_a_failure_that_may_be_tried_again(instance, tmp_path):
    """Retried by assets/reactions.py; PostgreSQL's outage is in tests/faults/test_instance.py."""
    run = started(instance)
    with publishing(instance, run.run_id):
        folders = {each.parent for each in tmp_path.rglob("held/*")}
    if not folders:
        pytest.skip("PostgreSQL has no file to lock")
    (folder,) = folders
    shutil.rmtree(folder)
    folder.write_text("in the way")
    with pytest.raises(RunCannotBeHeld, match="publishes nothing now"), publishing(instance, run.run_id):
        pass
    folder.unlink()
    with publishing(instance, run.run_id):
        pass
