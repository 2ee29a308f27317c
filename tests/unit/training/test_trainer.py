"""A training with a real store, tracker and ledger: stopped, cut off from MLflow, killed halfway, asked for twice."""

from pathlib import Path

import pytest

from quant_pipelines.models import Diverged, Machine
from quant_pipelines.registry.failures import StoreUnreachable
from quant_pipelines.training import Count, Engine, Progress, Stage, TrainingReport, order_for
from tests.homes import Home
from tests.stored import migrated
from tests.unit.snapshots.conftest import CLOCK

QUICK = {"kind": "lightgbm", "hyperparameters": {"num_boost_round": 6, "num_leaves": 4}}


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return migrated(tmp_path_factory.mktemp("migrated"))


@pytest.fixture
def place(tmp_path, empty):
    return Home(tmp_path, empty)


@pytest.fixture(scope="module")
def asked(frozen):
    strategy, arrays = frozen(model=QUICK, label_set="qlib_return")
    return order_for(strategy, arrays.document, code_version="test"), arrays.document, arrays


def test_a_training_is_stored_with_everything_that_made_it(place, asked):
    order, document, _ = asked
    published = place.trainer().train(*asked)
    manifest = published.manifest
    assert published.trained
    assert (manifest.model, manifest.training_id) == (order.model_name, order.training_id)
    assert manifest.snapshot_id == document.id
    assert manifest.feature_versions == {each.name: each.version for each in document.recipe.features}
    assert {"numpy", "lightgbm"} <= set(manifest.libraries)
    assert manifest.metrics == published.report.final_metrics
    client, (run,) = place.runs()
    assert run.data.tags["stage"] == "completed"
    percents = [each.value for each in client.get_metric_history(run.info.run_id, "progress_percent")]
    assert {10.0, 20.0, 30.0, 90.0, 100.0} <= set(percents), "S2-21"
    assert percents == sorted(percents)
    files = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert {"training_report.json", "feature_correlations.json", "feature_importance.json"} <= files
    assert place.shelf.find(order) is None
    assert place.ledger.count(order.model_name) == Count(begun=1, trials=0, completed=1, failed=0, stopped=0)


def test_asked_for_twice_it_is_trained_once(place, asked):
    first, second = place.trainer().train(*asked), place.trainer().train(*asked)
    assert (first.trained, second.trained) == (True, False)
    assert second.version == first.version
    assert second.content_id == first.content_id
    assert second.report == first.report


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_ends_the_run_and_keeps_nothing(place, asked, interrupt):
    """S2-46, S2-90: how Dagster tells a process to end."""
    told: list[Progress] = []

    def listener(progress: Progress) -> None:
        told.append(progress)
        if progress.step is not None and progress.step.number == 3:
            raise interrupt

    with pytest.raises(interrupt):
        place.trainer(listener=listener).train(*asked)
    assert told[-1].stage is Stage.STOPPED
    assert place.ledger.count("tiny.s").stopped == 1
    assert place.models.versions("tiny.s") == []
    assert place.shelf.find(asked[0]) is None
    client, (run,) = place.runs()
    assert (run.info.status, run.data.tags["stage"]) == ("KILLED", "stopped")
    assert "training_report.html" in {each.path for each in client.list_artifacts(run.info.run_id)}
    text = Path(client.download_artifacts(run.info.run_id, "training_report.json", place.folder))
    report = TrainingReport.model_validate_json(text.read_bytes())
    assert report.error_info is not None
    assert report.error_info.startswith(interrupt.__name__)
    assert [each.number for each in report.training_history] == [1, 2, 3]
    assert (report.total_epochs, report.best_epoch, report.final_metrics) == (3, 0, {})


def test_a_store_that_is_gone_at_the_end_costs_no_training(place, asked):
    """The run ends with an error that helps; the next one stores what is there, with every measure."""
    database, away = place.folder / "mlflow.db", place.folder / "away.db"

    def listener(progress: Progress) -> None:
        if progress.step is not None and progress.step.number == 2:
            database.rename(away)
            database.mkdir()

    with pytest.raises(StoreUnreachable):
        place.trainer(listener=listener).train(*asked)
    assert place.shelf.find(asked[0]) is not None
    database.rmdir()
    away.rename(database)
    published = place.trainer().train(*asked)
    assert published.trained
    assert place.ledger.count("tiny.s") == Count(begun=1, trials=0, completed=1, failed=0, stopped=0)
    client, runs = place.runs()
    (before,) = [run for run in runs if run.info.run_id != published.version.run_id]
    assert {run.info.status for run in runs} == {"FINISHED", "FAILED"}
    assert before.data.tags["stored_by"] == published.version.run_id
    steps = {each.step for each in client.get_metric_history(published.version.run_id, "train_l2")}
    assert steps == set(range(1, 7))
    assert place.shelf.find(asked[0]) is None


def test_a_damaged_training_on_the_shelf_is_told_and_trained_again(place, asked):
    trained = Engine(clock=CLOCK, listener=lambda _: None).train(asked[0], asked[2])
    place.shelf.put(trained, "run")
    (place.shelf.folder / asked[0].training_id / "booster.txt").write_bytes(b"")
    told: list[Progress] = []
    published = place.trainer(listener=told.append).train(*asked)
    assert published.trained
    assert "not what was written" in told[0].message
    assert place.ledger.count("tiny.s").begun == 1
    assert place.shelf.find(asked[0]) is None


# What it learns grows without bound.
UNSTABLE = {"optimizer": "sgd", "weight_decay": 1e6, "lr": 10.0, "batch_size": 32, "hidden_size": 4}
SCALED = {"kind": "robust", "clip": 3, "missing": "centre"}


def test_where_a_training_diverges_the_fallback_is_trained_and_that_is_said(place, frozen):
    """S2-110: only where the strategy names one."""
    model = {"kind": "mlp", "hyperparameters": UNSTABLE, "fallback": {"kind": "linear"}}
    strategy, arrays = frozen(model=model, label_set="qlib_return", normalisation=SCALED)
    told: list[Progress] = []
    asked = order_for(strategy, arrays.document, code_version="test")
    published = place.trainer(listener=told.append).train(asked, arrays.document, arrays)
    assert (published.manifest.kind, published.report.model_kind) == ("linear", "linear")
    assert published.report.data_info["adjusted"] == "linear and not mlp, since it diverged"
    assert any("Training again with linear and not mlp" in each.message for each in told)
    assert place.ledger.count("tiny.s") == Count(begun=2, trials=0, completed=1, failed=1, stopped=0)
    alone, _ = frozen(model={"kind": "linear"}, label_set="qlib_return", normalisation=SCALED)
    same = order_for(alone, arrays.document, code_version="test")
    assert published.order.training_id == same.training_id, "it is that training, whoever asks for it"


def test_without_a_fallback_a_training_that_diverges_fails(place, frozen):
    strategy, arrays = frozen(
        model={"kind": "mlp", "hyperparameters": UNSTABLE}, label_set="qlib_return", normalisation=SCALED
    )
    with pytest.raises(Diverged):
        place.trainer().train(order_for(strategy, arrays.document, code_version="test"), arrays.document, arrays)
    assert place.ledger.count("tiny.s").failed == 1


def test_another_seed_is_another_version(place, asked, frozen):
    strategy, arrays = frozen(model=QUICK, label_set="qlib_return")
    other = order_for(strategy, arrays.document, code_version="test", seed=1, machine=Machine(threads=2))
    first = place.trainer().train(*asked)
    second = place.trainer().train(other, arrays.document, arrays)
    assert (first.version.number, second.version.number) == (1, 2)
    assert first.content_id != second.content_id
