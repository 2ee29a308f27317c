"""Runs that are watched: metrics arrive while the training runs, hold nobody up, and are never lost in silence."""

import time
from datetime import UTC, datetime

import pytest
from mlflow import MlflowClient

from quant_pipelines.clock import FixedClock, SystemClock
from quant_pipelines.registry import open_models, open_tracker
from quant_pipelines.registry.failures import NotLogged, StoreUnreachable
from quant_pipelines.registry.mlflow.tracker import MlflowRuns
from quant_pipelines.registry.tracker import Buffer
from quant_pipelines.settings import Settings
from tests.installation import PROJECT
from tests.waiting import waited_for

NOBODY_LISTENS = "http://127.0.0.1:9"


class Receiver:
    """Takes what is sent, but for as long as it is away."""

    def __init__(self) -> None:
        self.away = False
        self.got: list[tuple[str, float, int]] = []
        self.tags: list[dict[str, str]] = []
        self.tried = 0

    def __call__(self, measured, tags) -> None:
        self.tried += 1
        if self.away:
            raise StoreUnreachable("somewhere", "connection refused")
        self.got += [(each.name, each.value, each.step) for each in measured]
        self.tags += [dict(tags)] if tags else []


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def buffer(receiver) -> Buffer:
    return Buffer(receiver, clock=SystemClock(), every_seconds=0.01)


def test_metrics_arrive_while_the_training_runs(buffer, receiver):
    buffer.add({"loss": 1.0}, step=1)
    assert waited_for(lambda: receiver.got == [("loss", 1.0, 1)])
    buffer.add({"loss": 0.5}, step=2)
    assert waited_for(lambda: len(receiver.got) == 2)
    buffer.close()


def test_an_outage_loses_nothing_and_keeps_the_order(buffer, receiver):
    receiver.away = True
    for step in range(3000):
        buffer.add({"loss": float(step)}, step=step)
    assert waited_for(lambda: receiver.tried > 2)
    receiver.away = False
    buffer.close()
    assert receiver.got == [("loss", float(step), step) for step in range(3000)]


def test_who_measures_never_waits(receiver):
    def slow(measured, tags):
        time.sleep(0.3)
        receiver(measured, tags)

    buffer = Buffer(slow, clock=SystemClock(), every_seconds=0.0)
    begin = time.perf_counter()
    for step in range(500):
        buffer.add({"loss": 1.0}, step=step)
    assert time.perf_counter() - begin < 0.25
    buffer.close()
    assert len(receiver.got) == 500


def test_of_a_tag_the_newest_value_arrives_with_the_last_of_the_metrics(buffer, receiver):
    receiver.away = True
    for step in range(2000):
        buffer.add({"loss": float(step)}, step=step)
        buffer.announce({"message": f"step {step}"})
    buffer.announce({"stage": "training"})
    assert waited_for(lambda: receiver.tried > 2)
    assert (receiver.got, receiver.tags) == ([], [])
    receiver.away = False
    buffer.close()
    assert receiver.tags == [{"message": "step 1999", "stage": "training"}]
    assert len(receiver.got) == 2000


def test_a_tag_that_changed_while_it_was_sent_is_sent_again(receiver):
    def interrupted(measured, tags):
        if not receiver.tags:
            buffer.announce({"message": "newer"})
        receiver(measured, tags)

    buffer = Buffer(interrupted, clock=SystemClock(), every_seconds=60)
    buffer.announce({"message": "older", "stage": "training"})
    buffer.flush()
    assert receiver.tags == [{"message": "older", "stage": "training"}, {"message": "newer"}]
    buffer.close()
    assert len(receiver.tags) == 2


def test_tags_that_could_not_be_delivered_are_said_at_the_end(buffer, receiver):
    receiver.away = True
    buffer.announce({"stage": "training"})
    with pytest.raises(NotLogged, match=r"1 values were not delivered: .*connection refused"):
        buffer.close()


def test_what_could_not_be_delivered_is_said_at_the_end_and_can_be_tried_again(buffer, receiver):
    receiver.away = True
    buffer.add({"loss": 1.0}, step=1)
    with pytest.raises(NotLogged, match=r"1 values were not delivered: .*connection refused"):
        buffer.close()
    receiver.away = False
    buffer.close()
    assert receiver.got == [("loss", 1.0, 1)]


def test_a_run_with_nothing_measured_ends(buffer, receiver):
    buffer.close()
    assert receiver.tried == 0


def test_a_run_is_what_mlflow_shows(kept):
    client = MlflowClient(kept.place.uri, kept.place.uri)
    run = kept.runs.start("demo", "candles", params={"lr": 0.1, "long": "x" * 9000}, tags={"strategy": "candles"})
    assert client.get_run(run.id).info.status == "RUNNING"
    child = kept.runs.start("demo", "trial", parent=run.id)
    for step in range(1, 4):
        run.log_metrics({"loss": 1 / step, "ic": float("nan")}, step=step)
    run.set_tags({"stage": "training"})
    run.log_text("a report", "report/report.txt")
    run.end()
    found = client.get_run(run.id)
    assert found.info.status == "FINISHED"
    assert found.data.params["lr"] == "0.1"
    assert found.data.tags.items() >= {"strategy": "candles", "stage": "training"}.items()
    history = client.get_metric_history(run.id, "loss")
    assert [(each.step, each.value) for each in history] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert client.get_run(child.id).data.tags["mlflow.parentRunId"] == run.id
    assert run.url == f"http://127.0.0.1:5000/#/experiments/{found.info.experiment_id}/runs/{run.id}"
    (report,) = kept.files("report.txt")
    assert report.read_text() == "a report"


def test_a_run_is_found_by_its_tag_as_it_is_now(kept):
    assert kept.runs.newest("training_id", "one") is None
    run = kept.runs.start("demo", "candles", tags={"training_id": "one"})
    kept.runs.start("other", "candles", tags={"training_id": "two"})
    begun = kept.runs.newest("training_id", "one")
    assert (begun.id, begun.url, begun.status, begun.ended) == (run.id, run.url, "RUNNING", None)
    run.log_metrics({"loss": 1.0}, step=1)
    run.log_metrics({"loss": 0.5}, step=2)
    run.announce({"stage": "training"})
    run.end("KILLED")
    over = kept.runs.newest("training_id", "one")
    assert (over.status, over.began, over.metrics) == ("KILLED", begun.began, {"loss": 0.5})
    assert over.ended >= over.began
    assert over.tags["stage"] == "training"
    assert kept.runs.newest("training_id", "nobody") is None


def test_of_several_runs_the_one_that_began_last_is_found(kept_in_file):
    for day in (2, 3, 1):
        clock = FixedClock(datetime(2024, 1, day, tzinfo=UTC))
        MlflowRuns(kept_in_file.place, clock=clock).start(f"market_{day}", "a", tags={"training_id": "one"})
    assert kept_in_file.runs.newest("training_id", "one").began.day == 3


@pytest.mark.parametrize(("status", "finished"), [("FINISHED", True), ("FAILED", False), ("KILLED", False)])
def test_a_run_knows_whether_it_had_ended_well(kept_in_file, status, finished):
    run = kept_in_file.runs.start("demo", "candles")
    assert not run.finished
    run.end(status)
    assert kept_in_file.runs.run(run.id).finished is finished


def test_metrics_can_be_seen_before_the_run_ends(kept_in_file):
    runs = MlflowRuns(kept_in_file.place, clock=SystemClock(), every_seconds=0.01)
    client = MlflowClient(kept_in_file.place.uri, kept_in_file.place.uri)
    run = runs.start("demo", "candles")
    run.log_metrics({"loss": 0.25}, step=1)
    assert waited_for(lambda: client.get_run(run.id).data.metrics == {"loss": 0.25})
    run.end("KILLED")
    assert client.get_run(run.id).info.status == "KILLED"


def test_a_run_goes_on_after_its_process_has_died(kept_in_file):
    client = MlflowClient(kept_in_file.place.uri, kept_in_file.place.uri)
    begun = kept_in_file.runs.start("demo", "candles")
    client.set_terminated(begun.id, "FAILED")
    run = kept_in_file.runs.run(begun.id)
    assert client.get_run(run.id).info.status == "FAILED"
    run.log_metrics({"loss": 1.0}, step=9)
    run.end()
    found = client.get_run(run.id)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"loss": 1.0})


def test_an_experiment_that_somebody_deleted_comes_back(kept_in_file):
    client = MlflowClient(kept_in_file.place.uri, kept_in_file.place.uri)
    run = kept_in_file.runs.start("demo", "one")
    client.delete_experiment(client.get_run(run.id).info.experiment_id)
    again = kept_in_file.runs.start("demo", "two")
    assert client.get_run(again.id).info.experiment_id == client.get_run(run.id).info.experiment_id


@pytest.mark.parametrize("open_it", [open_models, open_tracker])
def test_a_server_that_nobody_runs_is_said_soon(open_it, tmp_path):
    settings = Settings(project=PROJECT, home=tmp_path, mlflow_url=NOBODY_LISTENS)
    begin = time.monotonic()
    with pytest.raises(StoreUnreachable, match=r"refused.*See that it runs"):
        open_it(settings, clock=SystemClock())
    assert time.monotonic() - begin < 10


def test_a_database_that_nobody_runs_is_said_soon_and_without_its_password(tmp_path):
    url = "postgresql://me:S3cr-et_word@127.0.0.1:9/mlflow"
    settings = Settings(project=PROJECT, home=tmp_path, mlflow_database_url=url)
    begin = time.monotonic()
    with pytest.raises(StoreUnreachable) as refused:
        open_tracker(settings, clock=SystemClock())
    assert time.monotonic() - begin < 10
    assert "S3cr-et_word" not in str(refused.value)
