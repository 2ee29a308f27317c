"""A training with a real store, tracker and ledger: stopped, cut off from MLflow, killed halfway, asked for twice."""

import shutil

import pytest

from quant_pipelines.journal import FileAnchor, Journal, sqlite_url
from quant_pipelines.models import Machine
from quant_pipelines.registry import open_models, open_tracker
from quant_pipelines.registry.failures import StoreUnreachable
from quant_pipelines.settings import Settings
from quant_pipelines.training import Count, Engine, Ledger, Progress, Shelf, Stage, Trainer, order_for
from tests.stored import migrated
from tests.unit.snapshots.conftest import CLOCK

QUICK = {"kind": "lightgbm", "hyperparameters": {"num_boost_round": 6, "num_leaves": 4}}


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return migrated(tmp_path_factory.mktemp("migrated"))


class Place:
    """A home with MLflow's tables, and trainers over it."""

    def __init__(self, folder, empty) -> None:
        self.folder = folder
        shutil.copyfile(empty, folder / "mlflow.db")
        self.settings = Settings(home=folder)
        self.models = open_models(self.settings, clock=CLOCK)
        journal = Journal(sqlite_url(folder / "journal.db"), FileAnchor(folder / "anchor"), clock=CLOCK)
        self.ledger, self.shelf = Ledger(journal, "test"), Shelf(folder / "trainings")

    def trainer(self, **changes) -> Trainer:
        values = {
            "models": self.models, "tracker": open_tracker(self.settings, clock=CLOCK), "ledger": self.ledger,
            "shelf": self.shelf, "clock": CLOCK, "actor": "test", "listener": lambda _: None,
        }  # fmt: skip
        return Trainer(**(values | changes))

    def runs(self):
        from mlflow import MlflowClient

        uri = f"sqlite:///{self.folder / 'mlflow.db'}"
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        found = client.get_experiment_by_name("tiny")
        return client, client.search_runs([found.experiment_id])


@pytest.fixture
def place(tmp_path, empty):
    return Place(tmp_path, empty)


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
    """S2-46: how Dagster tells a process to end."""
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
    _, (run,) = place.runs()
    assert run.info.status == "KILLED"


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


def test_another_seed_is_another_version(place, asked, frozen):
    strategy, arrays = frozen(model=QUICK, label_set="qlib_return")
    other = order_for(strategy, arrays.document, code_version="test", seed=1, machine=Machine(threads=2))
    first = place.trainer().train(*asked)
    second = place.trainer().train(other, arrays.document, arrays)
    assert (first.version.number, second.version.number) == (1, 2)
    assert first.content_id != second.content_id
