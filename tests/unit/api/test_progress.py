"""Progress over HTTP and WebSocket, through a real server over a real MLflow."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from quant_pipelines.api.app import PROGRESS, PROGRESS_ALIAS, ROLLOUT_STATE, TRAINING_PROGRESS
from quant_pipelines.cli.servers import LOOPBACK
from quant_pipelines.clock import SystemClock
from quant_pipelines.models import Step
from quant_pipelines.registry.mlflow.tracker import MlflowRuns
from quant_pipelines.snapshots import load
from quant_pipelines.training import Progress, Stage, order_for
from quant_pipelines.training.progress import PERCENT
from quant_pipelines.training.tracked import ERROR, STAGE, TRAINING_ID, told_to
from tests.homes import Home
from tests.stored import migrated, place_in
from tests.unit.api.conftest import TOKEN, listening
from tests.unit.snapshots.conftest import Scene, strategy

KNOWN = {"Authorization": f"Bearer {TOKEN}"}
ONE, OTHER, NOBODY = "1" * 64, "2" * 64, "0" * 64
LONGEST_SECONDS = 30
QUICK = {"kind": "lightgbm", "hyperparameters": {"num_boost_round": 4, "num_leaves": 3}}


class Training:
    """One that a test drives: what it says reaches MLflow as a trainer's word does."""

    def __init__(self, folder, model_id: str) -> None:
        self.model_id = model_id
        self.tracker = MlflowRuns(place_in(folder), clock=SystemClock(), every_seconds=0.005)
        tags = {TRAINING_ID: model_id, "market": "demo", "strategy": "candles"}
        self.run = self.tracker.start("demo", "candles", tags=tags)
        self._tell = told_to(self.run, SystemClock())

    def stage(self, stage: Stage) -> None:
        message = f"this is {stage}"
        self._tell(Progress(model_id=self.model_id, percent=PERCENT[stage], stage=stage, message=message))

    def step(self, number: int, **metrics: float) -> None:
        step = Step(number=number, of=60, metrics=metrics)
        told = {"model_id": self.model_id, "percent": 30.0 + number, "stage": Stage.TRAINING, "step": step}
        self._tell(Progress(**told, message=f"Step {number}", remaining_seconds=1.5))

    def end(self, stage: Stage = Stage.COMPLETED, error: str | None = None) -> None:
        self.run.announce({STAGE: stage, **({} if error is None else {ERROR: error})})
        self.run.end("FINISHED" if error is None else "FAILED")


class Connection:
    """A client's end of a WebSocket."""

    def __init__(self, socket) -> None:
        self.socket = socket

    def next(self):
        return json.loads(self.socket.recv(timeout=LONGEST_SECONDS))

    def until(self, **wanted):
        """The first message that has these fields; those before it are kept in `seen`."""
        self.seen = [self.next()]
        while not wanted.items() <= self.seen[-1].items():
            self.seen.append(self.next())
        return self.seen[-1]

    def say(self, **message: str) -> None:
        self.socket.send(json.dumps(message))


@contextmanager
def listening_to(served, *model_ids: str, headers=KNOWN):
    query = "&".join(f"model_id={each}" for each in model_ids)
    address = f"ws://{LOOPBACK}:{served.client.port}{TRAINING_PROGRESS}?{query}"
    with connect(address, additional_headers=headers, open_timeout=LONGEST_SECONDS) as socket:
        yield Connection(socket)


def statement(served, text: str) -> None:
    """In MLflow's database. Moving its file would not do: whoever has it open reads on."""
    with closing(sqlite3.connect(served.folder / "mlflow.db")) as connection, connection:
        connection.execute(text)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return migrated(tmp_path_factory.mktemp("migrated"))


@pytest.fixture
def tracked(served, empty):
    shutil.copyfile(empty, served.folder / "mlflow.db")
    return served


@pytest.fixture
def training(tracked):
    return Training(tracked.folder, ONE)


@pytest.mark.parametrize("path", [PROGRESS, PROGRESS_ALIAS])
def test_a_training_is_told_by_its_id(tracked, training, path):
    """S2-28, S2-92, X-29."""
    training.stage(Stage.PREPARING)
    training.end(Stage.FAILED, error="ValueError: no rows")
    answer = tracked.client.get(path.format(model_id=ONE))
    assert answer.status == 200
    assert answer.json.items() >= {
        "model_id": ONE, "model_name": "demo.candles", "training_progress": 10.0, "training_stage": "failed",
        "error_message": "ValueError: no rows", "message": "this is preparing", "epoch": 0,
    }.items()  # fmt: skip
    assert [each["stage"] for each in answer.json["training_log"]] == ["preparing"]
    began, ended = (datetime.fromisoformat(answer.json[f"training_{each}_time"]) for each in ("start", "end"))
    assert began <= ended


def test_an_unknown_training_is_refused_with_where_ids_are_found(tracked, training):
    """And with no id that runs: whoever may read need not be whoever may know them all."""
    answer = tracked.client.get(PROGRESS.format(model_id=NOBODY))
    assert (answer.status, answer.json["code"]) == (404, "QP118")
    assert "`qp models progress`" in answer.json["error"]
    assert ONE not in answer.json["error"]


def test_mlflow_that_is_away_costs_only_what_it_knows(served):
    nowhere = place_in(served.folder, "http://127.0.0.1:9")
    answers = replace(served.answers, tracker=lambda: MlflowRuns(nowhere, clock=SystemClock()))
    with listening(answers, TOKEN) as client:
        answer = client.get(PROGRESS.format(model_id=ONE))
        assert (answer.status, answer.json["code"]) == (503, "QP350")
        assert client.get(ROLLOUT_STATE).status == 200


def test_the_present_state_comes_at_once_and_every_change_after_it(tracked, training):
    """S2-16, S2-29, S2-47."""
    training.stage(Stage.TRAINING)
    with listening_to(tracked, ONE) as client:
        assert client.until(stage="training")["message"] == "this is training"
        training.step(2, train_loss=0.75, validation_loss=0.5, validation_accuracy=0.625)
        assert client.until(epoch=2, message="Step 2") == {
            "event": "training_progress", "model_id": ONE, "progress": 32.0, "stage": "training", "epoch": 2,
            "metrics": {"loss": 0.5, "accuracy": 0.625, "train_loss": 0.75, "validation_loss": 0.5,
                        "validation_accuracy": 0.625},
            "message": "Step 2", "remaining_seconds": 1.5, "error_message": None,
        }  # fmt: skip
        training.stage(Stage.EVALUATING)
        assert client.until(stage="evaluating")["progress"] == 90.0
        training.end()
        assert client.until(stage="completed")["progress"] == 100.0


def test_a_connection_stays_usable_after_a_training_is_over(tracked, training):
    training.end()
    other = Training(tracked.folder, OTHER)
    with listening_to(tracked, ONE) as client:
        assert client.next()["stage"] == "completed"
        client.say(subscribe=OTHER)
        assert (client.next()["model_id"]) == OTHER
        other.stage(Stage.PREPARING)
        client.until(model_id=OTHER, stage="preparing")
        client.say(subscribe=ONE)
        assert client.until(model_id=ONE)["stage"] == "completed", "and may ask again"


def test_who_unsubscribes_takes_nothing_from_the_others(tracked, training):
    """S2-51."""
    other = Training(tracked.folder, OTHER)
    with listening_to(tracked, ONE) as leaving, listening_to(tracked, ONE) as staying:
        for each in (leaving, staying):
            each.until(stage="not_started")
        leaving.say(unsubscribe=ONE)
        assert leaving.next() == {"event": "unsubscribed", "model_id": ONE}
        training.stage(Stage.TRAINING)
        staying.until(stage="training")
        leaving.say(subscribe=OTHER)
        other.stage(Stage.PREPARING)
        leaving.until(stage="preparing")
        assert {each["model_id"] for each in leaving.seen} == {OTHER}
        training.end()
        staying.until(stage="completed")


def test_who_hangs_up_takes_nothing_from_the_others(tracked, training):
    """S2-51."""
    with listening_to(tracked, ONE) as staying:
        with listening_to(tracked, ONE) as leaving:
            leaving.until(stage="not_started")
        staying.until(stage="not_started")
        training.stage(Stage.TRAINING)
        assert staying.until(stage="training")["model_id"] == ONE


def test_one_connection_watches_several_trainings(tracked, training):
    other = Training(tracked.folder, OTHER)
    with listening_to(tracked, ONE, OTHER) as client:
        training.stage(Stage.PREPARING)
        other.stage(Stage.CONFIGURING)
        found = {}
        while found != {ONE: "preparing", OTHER: "configuring"}:
            told = client.next()
            found[told["model_id"]] = told["stage"]


def test_a_training_whose_process_died_is_told_as_failed(tracked, training):
    """S2-28: somebody else has noticed, and ended its run."""
    training.stage(Stage.TRAINING)
    with listening_to(tracked, ONE) as client:
        client.until(stage="training")
        training.tracker.abandon(training.run.id, "FAILED", why="its process was killed")
        told = client.until(stage="failed")
        assert (told["progress"], told["error_message"]) == (30.0, "its process was killed")


def test_mlflow_that_cannot_be_reached_is_told_and_what_follows_too(tracked, training):
    """The connection and the subscription outlive it."""
    training.stage(Stage.PREPARING)
    with listening_to(tracked, ONE) as client:
        client.until(stage="preparing")
        statement(tracked, "ALTER TABLE runs RENAME TO away")
        told = client.until(event="refused")
        assert (told["model_id"], told["code"]) == (ONE, "QP350")
        assert "try again" in told["error"]
        statement(tracked, "ALTER TABLE away RENAME TO runs")
        client.until(event="training_progress", stage="preparing")
        training.end()
        client.until(stage="completed")


def test_an_unknown_training_is_refused_and_the_connection_goes_on(tracked, training):
    with listening_to(tracked, NOBODY) as client:
        told = client.next()
        assert (told["event"], told["model_id"], told["code"]) == ("refused", NOBODY, "QP118")
        client.say(subscribe=ONE)
        assert client.next()["stage"] == "not_started"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("nonsense", "Invalid JSON"),
        (b"\x00\x01", "Invalid JSON"),
        ("{}", "give one of subscribe and unsubscribe"),
        (json.dumps({"subscribe": ONE, "unsubscribe": ONE}), "give one of subscribe and unsubscribe"),
        (json.dumps({"subscribe": 1}), "subscribe: Input should be a valid string"),
        (json.dumps({"subscirbe": ONE}), "subscirbe: Extra inputs are not permitted"),
    ],
)
def test_what_is_no_request_is_refused_with_how_to_write_one(tracked, training, sent, told):
    with listening_to(tracked) as client:
        client.socket.send(sent)
        refused = client.next()
        assert (refused["event"], refused["model_id"], refused["code"]) == ("refused", None, "QP239")
        assert told in refused["error"]
        assert '{"subscribe": ID}' in refused["error"]
        client.say(subscribe=ONE)
        assert client.next()["model_id"] == ONE


@pytest.mark.parametrize(
    ("model_id", "told"),
    [("", "at least 1 character"), ("%20%20", "at least 1 character"), ("x" * 201, "at most 200 characters")],
)
def test_an_id_in_the_address_is_judged_as_in_a_message(tracked, training, model_id, told):
    with listening_to(tracked, model_id) as client:
        refused = client.next()
        assert (refused["event"], refused["model_id"], refused["code"]) == ("refused", None, "QP239")
        assert f"subscribe: String should have {told}" in refused["error"]
        client.say(subscribe=ONE)
        assert client.next()["model_id"] == ONE


def test_an_id_in_the_address_is_unsubscribed_from_as_one_in_a_message(tracked, training):
    with listening_to(tracked, f"%20{ONE}%20") as client:
        assert client.next()["model_id"] == ONE
        client.say(unsubscribe=f" {ONE} ")
        assert client.next() == {"event": "unsubscribed", "model_id": ONE}
        training.stage(Stage.PREPARING)
        client.say(unsubscribe=OTHER)
        assert client.next() == {"event": "unsubscribed", "model_id": OTHER}, "and nothing of the training before it"


def test_a_message_that_is_too_long_ends_the_connection(tracked):
    """Or a few of them would fill the memory."""
    with listening_to(tracked) as client:
        client.socket.send("x" * 5000)
        with pytest.raises(ConnectionClosedError) as closed:
            client.next()
        assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize("headers", [{}, {"Authorization": TOKEN}, {"Authorization": f"Bearer {TOKEN}x"}])
def test_a_socket_without_the_token_is_refused_before_it_opens(tracked, training, headers):
    """S0-27."""
    with pytest.raises(InvalidStatus) as refused, listening_to(tracked, ONE, headers=headers):
        pass
    response = refused.value.response
    assert (response.status_code, json.loads(response.body)["code"]) == (401, "QP116")


def test_an_api_without_a_token_opens_no_socket(tracked, training):
    """S0-27: and the sentence says which variable to set. What can be read over HTTP is."""
    tracked.client = tracked.with_token(None)
    with pytest.raises(InvalidStatus) as refused, listening_to(tracked, ONE):
        pass
    told = json.loads(refused.value.response.body)
    assert (refused.value.response.status_code, told["code"]) == (403, "QP115")
    assert "Set QP_API_TOKEN or QP_API_TOKEN_FILE" in told["error"]
    assert tracked.client.get(PROGRESS.format(model_id=ONE)).status == 200


def test_the_example_in_the_documents_tells_a_training_to_its_end(tracked, training):
    page = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    program = example.replace(f"{LOOPBACK}:8000", f"{LOOPBACK}:{tracked.client.port}")
    training.step(3, validation_loss=0.5)
    training.end(Stage.FAILED, error="ValueError: no rows")
    for model_id, told in ((ONE, "33.0 failed Step 3"), (NOBODY, "None None No training has the id")):
        command = [sys.executable, "-c", program, model_id]
        ran = subprocess.run(command, env={"QP_API_TOKEN": TOKEN}, capture_output=True, text=True, check=True)
        assert ran.stdout.startswith(told)


def test_a_real_training_is_seen_from_its_first_stage_to_its_last(tracked, tmp_path_factory):
    """S2-16, S2-21: a trainer and a client with MLflow between them. It waits at each place until that was seen."""
    scene = Scene(tmp_path_factory.mktemp("market"), symbols=8).publish()
    document = scene.builder().build(strategy(model=QUICK), scene.sessions[-1]).document
    order = order_for(strategy(model=QUICK), document, code_version="test")
    seen, reached = threading.Semaphore(0), threading.Semaphore(0)

    def listener(progress: Progress) -> None:
        # The run in MLflow is told after this one: what is seen is what was said before.
        if progress.stage in {Stage.TRAINING, Stage.EVALUATING}:
            reached.release()
            assert seen.acquire(timeout=LONGEST_SECONDS)

    quick = MlflowRuns(place_in(tracked.folder), clock=SystemClock(), every_seconds=0.005)
    home = Home(tracked.folder)
    trainer = home.trainer(listener=listener, tracker=quick, clock=SystemClock())
    thread = threading.Thread(target=trainer.train, args=(order, document, load(scene.store, document)))
    thread.start()
    try:
        assert reached.acquire(timeout=LONGEST_SECONDS)
        with listening_to(tracked, order.training_id) as client:
            for number in range(6):
                wanted = {"stage": "configuring"} if number == 0 else {"stage": "training", "epoch": number - 1}
                told = client.until(**wanted)
                assert told["progress"] == (20.0 if number == 0 else 30.0 + 15.0 * (number - 1))
                assert (told["metrics"]["loss"] is None) == (number < 2)
                seen.release()
            client.until(stage="completed", progress=100.0)
    finally:
        for _ in range(6):
            seen.release()
        thread.join()
    assert home.models.versions(order.model_name)
