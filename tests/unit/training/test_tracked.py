"""A training as MLflow tells it, while it happens and after whatever has happened to it (S2-16, S2-18, S2-26)."""

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from quant_pipelines.clock import FixedClock
from quant_pipelines.errors import DependencyFailed
from quant_pipelines.models import Step
from quant_pipelines.registry.mlflow.tracker import MlflowRuns
from quant_pipelines.registry.tracker import Buffer
from quant_pipelines.training import Progress, Stage, UnknownTraining, model_info, order_for
from quant_pipelines.training.progress import ENDS, PERCENT
from quant_pipelines.training.tracked import TRAINING_ID, TrainingUnreadable, told_to
from tests.homes import Home
from tests.stored import migrated, place_in
from tests.waiting import waited_for

MODEL = "a" * 64
BEGAN = datetime(2024, 1, 2, 9, 30, tzinfo=UTC)
QUICK = {"kind": "lightgbm", "hyperparameters": {"num_boost_round": 4, "num_leaves": 3}}


class Ticking:
    """A clock that goes on by a second whenever it is asked."""

    def __init__(self) -> None:
        self.at = BEGAN

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return migrated(tmp_path_factory.mktemp("migrated"))


@pytest.fixture
def tracker(tmp_path, empty):
    shutil.copyfile(empty, tmp_path / "mlflow.db")
    return MlflowRuns(place_in(tmp_path), clock=Ticking(), every_seconds=0.005)


@pytest.fixture
def run(tracker):
    return begun(tracker)


@pytest.fixture(scope="module")
def frozen_market(frozen):
    return frozen(model=QUICK, label_set="qlib_return")


def begun(tracker):
    """A run as the trainer begins one."""
    return tracker.start("demo", "candles", tags={TRAINING_ID: MODEL, "market": "demo", "strategy": "candles"})


def announced(stage: Stage, message: str = "something happens", percent: float | None = None) -> Progress:
    reached = PERCENT[stage] if percent is None else percent
    return Progress(model_id=MODEL, percent=reached, stage=stage, message=message)


def stepped(number: int, **metrics: float) -> Progress:
    step = Step(number=number, of=10, metrics=metrics)
    return Progress(
        model_id=MODEL,
        percent=30.0 + 6 * number,
        stage=Stage.TRAINING,
        message=f"Step {number}",
        step=step,
        remaining_seconds=2.5,
    )


def info_of(tracker):
    return model_info(tracker, MODEL)


def test_a_training_that_has_said_nothing_yet_is_not_started(tracker, run):
    """S2-28: the defaults."""
    info = info_of(tracker)
    assert (info.training_progress, info.training_stage) == (0.0, "not_started")
    assert (info.training_log, info.error_message, info.training_end_time) == ((), None, None)
    assert (info.model_id, info.model_name, info.page) == (MODEL, "demo.candles", run.url)
    assert info.training_start_time is not None
    assert (info.epoch, info.metrics, info.remaining_seconds) == (0, {"loss": None, "accuracy": None}, None)


def test_every_stage_can_be_seen_while_the_training_goes_on(tracker, run):
    """S2-21, X-11: order, percentages and messages; nothing has ended the run yet."""
    tell = told_to(run, Ticking())
    stages = (Stage.PREPARING, Stage.CONFIGURING, Stage.TRAINING, Stage.EVALUATING)
    for number, stage in enumerate(stages, 1):
        tell(announced(stage, f"this is {stage}"))
        assert waited_for(lambda stage=stage: info_of(tracker).training_stage is stage)
        info = info_of(tracker)
        assert (info.training_progress, info.message) == (PERCENT[stage], f"this is {stage}")
        assert [each.stage for each in info.training_log] == list(stages[:number])
        assert [each.percent for each in info.training_log] == [PERCENT[each] for each in stages[:number]]
        times = [each.at for each in info.training_log]
        assert times == sorted(times)
        assert not info.over
    run.end()


class SentAtOnce:
    """A run whose every word is on its way before the next: the worst moment for a flush, each time."""

    def __init__(self) -> None:
        self.sent = []
        self.buffer = Buffer(self._send, clock=Ticking(), every_seconds=60)

    def log_metrics(self, metrics, **rest) -> None:
        self.buffer.add(metrics, **rest)
        self.buffer.flush()

    def announce(self, tags) -> None:
        self.buffer.announce(tags)
        self.buffer.flush()

    def _send(self, measured, tags) -> None:
        self.sent.append(({each.name: each.value for each in measured}, tags))


def test_what_is_told_at_once_is_sent_at_once():
    """No stage with the percentage or the message of the one before it, whenever the buffer is sent."""
    run = SentAtOnce()
    tell = told_to(run, Ticking())
    tell(announced(Stage.TRAINING, "this is training"))
    tell(stepped(3, train_loss=0.75))
    (stage, stage_tags), (step, step_tags) = run.sent
    assert stage == {"progress_percent": 30.0}
    assert stage_tags.keys() == {"stage", "training_log", "message"}
    assert (stage_tags["stage"], stage_tags["message"]) == ("training", "this is training")
    assert step == {"progress_percent": 48.0, "epoch": 3.0, "remaining_seconds": 2.5, "train_loss": 0.75}
    assert step_tags == {"message": "Step 3"}
    run.buffer.close()


def test_a_stage_is_never_told_with_less_than_its_percentage(tracker, run):
    """MLflow reads a run's metrics before its tags: what is written in between is seen in the tags alone."""
    tell = told_to(run, Ticking())
    tell(announced(Stage.CONFIGURING))
    assert waited_for(lambda: info_of(tracker).training_stage is Stage.CONFIGURING)
    lines = [{"at": BEGAN.isoformat(), "percent": 30.0, "stage": "training", "message": ""}]
    run.set_tags({"stage": "training", "training_log": json.dumps(lines)})
    assert (info_of(tracker).training_stage, info_of(tracker).training_progress) == (Stage.TRAINING, 30.0)
    run.end()


def test_a_step_tells_its_number_its_loss_and_its_accuracy(tracker, run):
    """S2-26, S2-47."""
    tell = told_to(run, Ticking())
    tell(announced(Stage.TRAINING))
    tell(stepped(3, train_loss=0.75, validation_loss=0.5, validation_accuracy=0.625, lr=0.001))
    assert waited_for(lambda: info_of(tracker).message == "Step 3")
    info = info_of(tracker)
    assert (info.training_progress, info.epoch, info.remaining_seconds) == (48.0, 3, 2.5)
    assert info.metrics == {
        "loss": 0.5, "accuracy": 0.625, "train_loss": 0.75, "validation_loss": 0.5, "validation_accuracy": 0.625,
        "lr": 0.001,
    }  # fmt: skip
    assert len(info.training_log) == 1, "steps are curves in MLflow, no lines of the log"
    run.end()


def test_what_is_no_number_is_told_as_missing(tracker, run):
    """JSON knows no NaN."""
    told_to(run, Ticking())(stepped(1, train_l2=float("nan")))
    run.end()
    assert info_of(tracker).metrics == {"loss": None, "accuracy": None, "train_l2": None}
    assert "NaN" not in info_of(tracker).model_dump_json()


def test_a_training_is_complete_when_its_version_is_stored_and_no_sooner(tracker, run):
    """Whoever is told so may ask for the version at once."""
    tell = told_to(run, Ticking())
    tell(announced(Stage.EVALUATING))
    tell(announced(Stage.COMPLETED, "Trained in 2.0 s."))
    assert waited_for(lambda: info_of(tracker).message == "Trained in 2.0 s.")
    info = info_of(tracker)
    assert (info.training_stage, info.training_progress, info.over) == (Stage.EVALUATING, 90.0, False)
    run.announce({"stage": "completed"})
    run.end()
    info = info_of(tracker)
    assert (info.training_stage, info.training_progress, info.over) == (Stage.COMPLETED, 100.0, True)
    assert info.training_end_time > info.training_start_time


@pytest.mark.parametrize(("status", "stage"), [("FAILED", Stage.FAILED), ("KILLED", Stage.STOPPED)])
def test_a_training_whose_process_died_has_failed_where_it_was_and_says_why(tracker, run, status, stage):
    """S2-28: as `close_tracked_runs` ends it, with nobody left to say so."""
    tell = told_to(run, Ticking())
    tell(announced(Stage.TRAINING))
    tell(stepped(5, train_loss=1.0))
    assert waited_for(lambda: info_of(tracker).epoch == 5)
    assert tracker.abandon(run.id, status, why="its process was killed")
    info = info_of(tracker)
    assert (info.training_stage, info.training_progress, info.error_message) == (stage, 60.0, "its process was killed")
    assert info.training_end_time is not None
    assert info.remaining_seconds is None


def test_of_several_attempts_the_newest_counts(tracker, run):
    tracker.abandon(run.id, "FAILED", why="its process was killed")
    again = begun(tracker)
    assert info_of(tracker).page == again.url
    assert (info_of(tracker).training_stage, info_of(tracker).error_message) == (Stage.NOT_STARTED, None)


def test_texts_that_a_database_does_not_take_are_told_without_what_it_minds(tracker, run):
    """A NUL, half of a character, and more than a tag may hold: the metrics behind them arrive too."""
    tell = told_to(run, Ticking())
    for stage in (*list(PERCENT)[:-1], Stage.FAILED):
        tell(announced(stage, 'a\0b\ud800c"\n' * 10_000, percent=10.0))
    run.end("FAILED")
    info = info_of(tracker)
    assert info.message.startswith('a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"\n')
    assert len(info.training_log) == len(PERCENT)
    assert info.training_progress == 10.0


@pytest.mark.parametrize("model_id", ["", "nobody", "b" * 64, "' OR tags.market = 'demo", MODEL[:-1], MODEL.upper()])
def test_an_unknown_training_is_told_with_where_ids_are_found(tracker, run, model_id):
    with pytest.raises(UnknownTraining, match="`qp models progress` has the ids of those that run now"):
        model_info(tracker, model_id)


def test_an_id_that_no_training_can_have_costs_mlflow_nothing(tracker, tmp_path):
    """Anybody may ask over HTTP."""
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("ALTER TABLE experiments RENAME TO away")
    with pytest.raises(UnknownTraining):
        model_info(tracker, "nobody")
    with pytest.raises(DependencyFailed):
        model_info(tracker, MODEL)


@pytest.mark.parametrize(
    ("tag", "told"), [("training_log", "training_log: Invalid JSON"), ("stage", "is not a valid Stage")]
)
def test_what_somebody_has_written_over_is_not_believed(tracker, run, tag, told):
    run.set_tags({tag: "nonsense"})
    with pytest.raises(TrainingUnreadable, match=told):
        info_of(tracker)


def test_a_real_training_tells_all_of_it_once_it_is_stored(tmp_path, empty, frozen_market):
    """S2-18, S2-21, S2-28: through the trainer, as Dagster calls it."""
    home, asked = Home(tmp_path / "home", empty), asked_of(frozen_market)
    published = home.trainer().train(*asked)
    found = model_info(home.trainer().tracker, published.order.training_id)
    assert (found.training_stage, found.training_progress, found.epoch) == (Stage.COMPLETED, 100.0, 4)
    assert [(each.stage, each.percent) for each in found.training_log] == [
        ("preparing", 10.0),
        ("configuring", 20.0),
        ("training", 30.0),
        ("evaluating", 90.0),
        ("completed", 100.0),
    ]
    assert found.metrics["loss"] == found.metrics["validation_l2"]
    assert published.report.final_metrics.items() <= found.metrics.items()
    assert found.model_name == published.order.model_name


@pytest.mark.parametrize(
    ("error", "stage"), [(ValueError, Stage.FAILED), (KeyboardInterrupt, Stage.STOPPED)], ids=["failed", "stopped"]
)
def test_a_training_that_does_not_end_well_says_why(tmp_path, empty, frozen_market, error, stage):
    home, asked = Home(tmp_path / "home", empty), asked_of(frozen_market)

    def listener(progress: Progress) -> None:
        if progress.step is not None and progress.step.number == 2:
            raise error("in the way")

    with pytest.raises(error):
        home.trainer(listener=listener).train(*asked)
    found = model_info(home.trainer().tracker, asked[0].training_id)
    assert (found.training_stage, found.error_message) == (stage, f"{error.__name__}: in the way")
    assert 30.0 <= found.training_progress < 90.0
    assert [each.stage for each in found.training_log if each.stage in ENDS] == [stage]


def test_one_that_is_stored_already_keeps_the_time_at_which_it_ended(tmp_path, empty, frozen_market):
    """Whoever asks for it again trains nothing, and changes nothing about when it was trained."""
    home, asked = Home(tmp_path / "home", empty), asked_of(frozen_market)
    home.trainer().train(*asked)
    later = FixedClock(BEGAN + timedelta(days=9000))
    tracker = MlflowRuns(place_in(home.folder), clock=later)
    first = model_info(tracker, asked[0].training_id)
    assert not home.trainer(tracker=tracker, clock=later).train(*asked).trained
    assert model_info(tracker, asked[0].training_id) == first


def asked_of(frozen_market):
    strategy, arrays = frozen_market
    return order_for(strategy, arrays.document, code_version="test"), arrays.document, arrays
