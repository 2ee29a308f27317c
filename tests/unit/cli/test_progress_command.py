"""`qp models progress`, as a person types it."""

import pytest

from quant_pipelines.clock import SystemClock
from quant_pipelines.registry.mlflow.tracker import MlflowRuns
from quant_pipelines.training import Progress, Stage
from quant_pipelines.training.tracked import TRAINING_ID, told_to
from tests.commands import Commands
from tests.stored import migrated, place_in

MODEL = "a" * 64


@pytest.fixture
def qp(tmp_path, monkeypatch):
    migrated(tmp_path)
    return Commands(tmp_path, monkeypatch)


def test_trainings_are_told_while_they_run_and_after(qp, tmp_path):
    """S2-16, S2-21, S2-28."""
    assert "No training runs now." in qp.answer("models", "progress")
    tags = {TRAINING_ID: MODEL, "market": "demo", "strategy": "candles"}
    tracker = MlflowRuns(place_in(tmp_path), clock=SystemClock())
    run = tracker.start("demo", "candles", tags=tags)
    assert "demo.candles, not_started at 0.0 %: nothing was told yet" in qp.answer("models", "progress")
    progress = Progress(model_id=MODEL, percent=30.0, stage=Stage.TRAINING, message="Learning from [70] rows.")
    told_to(run, SystemClock())(progress)
    run.end("FAILED")
    assert "No training runs now." in qp.answer("models", "progress")
    text = qp.narrow("models", "progress", MODEL)
    assert "demo.candles, failed at 30.0 %: Learning from [70] rows." in text
    assert MODEL in text
    assert "training │ 30.0" in text
    assert f"runs/{run.id}" in text
    assert qp("models", "progress", "b" * 64)[1].code == "QP118"
