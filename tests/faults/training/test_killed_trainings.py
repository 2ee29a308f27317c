"""A training that is killed is told apart from one that runs, and keeps nobody from training again."""

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from quant_pipelines.clock import SystemClock
from quant_pipelines.registry import open_tracker
from quant_pipelines.snapshots import load
from quant_pipelines.training import order_for
from resources.models import RUN_TAG
from sensors.dead_runs import GRACE, fail_dead_runs
from sensors.tracked_runs import close_left_open
from tests.faults.training.training_process import CHANGES
from tests.homes import Home
from tests.stored import migrated
from tests.unit.snapshots.conftest import Scene, strategy

SCRIPT = Path(__file__).with_name("training_process.py")
KILL_AT = 3


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def test_a_killed_training_is_closed_in_mlflow_and_can_be_trained_again(tmp_path, instance):
    scene = Scene(tmp_path / "market").publish()
    document = scene.builder().build(strategy(**CHANGES), scene.sessions[-1]).document
    home = Home(tmp_path / "home", migrated(tmp_path / "migrated"))
    tracker = open_tracker(home.settings, clock=SystemClock())
    run = instance.create_run_for_job(dg.job(name="training")(lambda: None), status=dg.DagsterRunStatus.STARTED)
    arguments = [str(home.folder), str(scene.folder), document.id, run.run_id, str(KILL_AT)]
    killed = subprocess.run([sys.executable, "-W", "ignore", str(SCRIPT), *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL

    (left,) = tracker.running(RUN_TAG)
    assert close_left_open(instance, tracker) == [], "nobody has noticed yet that its process is gone"
    fail_dead_runs(instance, home.folder / "leases", now=datetime.now(UTC) + GRACE + timedelta(seconds=1))
    assert close_left_open(instance, tracker) == [left]
    _, (closed,) = home.runs()
    assert closed.info.status == "FAILED"
    assert "its process was killed" in closed.data.tags["abandoned"]

    order = order_for(strategy(**CHANGES), document, code_version="test")
    published = home.trainer().train(order, document, load(scene.store, document))
    assert published.trained
    assert {each.info.status for each in home.runs()[1]} == {"FAILED", "FINISHED"}
    assert home.ledger.count(order.model_name).without_end == 1
