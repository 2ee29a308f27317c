"""From any training back to the versions of the data that it saw."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quant_pipelines.journal import FileAnchor, Journal, sqlite_url
from quant_pipelines.lake.storage import LocalStore
from quant_pipelines.registry import open_models, open_tracker
from quant_pipelines.settings import Settings
from quant_pipelines.snapshots import SnapshotStore
from quant_pipelines.training import Ledger, Shelf, Trainer, order_for
from quant_pipelines.training.ledger import BEGAN
from tests.stored import migrated
from tests.unit.snapshots.conftest import CLOCK

LINEAR = {"kind": "linear"}
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)


@pytest.fixture(scope="module")
def given_snapshot(frozen):
    scaled = {"kind": "robust", "missing": "centre"}
    return frozen(model=LINEAR, label_set="qlib_return", normalisation=scaled)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A journal and a store of snapshots for all examples: ever more trainings, none of which may be mixed up."""
    folder = tmp_path_factory.mktemp("traced")
    journal = Journal(sqlite_url(folder / "journal.db"), FileAnchor(folder / "anchor"), clock=CLOCK)
    return Ledger(journal, "test"), SnapshotStore(LocalStore(folder / "snapshots"), threads=1), {}


def with_versions(document, versions):
    """The same snapshot, had its tables held other data."""
    recipe = document.recipe
    tables = [
        table.model_copy(update={"data_version": version})
        for table, version in zip(recipe.all_tables, versions, strict=True)
    ]
    labels = recipe.labels.model_copy(update={"table": tables[-1]})
    recipe = recipe.model_copy(update={"tables": tuple(tables[:-1]), "labels": labels})
    return document.model_copy(update={"recipe": recipe})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), seed=st.integers(0, 2))
def test_every_training_can_be_traced_to_its_data_version(given_snapshot, kept, data, seed):
    """S2-103. Feature: mlops-optimization, Property 8: every training can be traced to its data version."""
    strategy, arrays = given_snapshot
    ledger, store, seen = kept
    count = len(arrays.document.recipe.all_tables)
    versions = tuple(
        data.draw(st.lists(DIGESTS | st.sampled_from(["0" * 64, "1" * 64]), min_size=count, max_size=count))
    )
    document = with_versions(arrays.document, versions)
    store.put(document)
    order = order_for(strategy, document, code_version="test", seed=seed)
    row = ledger.began(order)
    # Only what is on record is used from here on.
    (entry,) = ledger.journal.rows(kind=BEGAN.name, after=row - 1, limit=1)
    began = BEGAN.of(entry)
    assert began.training_id == order.training_id
    traced = store.document(began.snapshot_id)
    assert tuple(each.data_version for each in traced.recipe.all_tables) == versions
    # Equal trainings have seen equal data, and other data makes another training.
    assert seen.setdefault(began.training_id, (versions, seed)) == (versions, seed)


def test_the_run_and_the_stored_version_name_the_snapshot_too(given_snapshot, tmp_path):
    """S2-103."""
    from mlflow import MlflowClient

    strategy, arrays = given_snapshot
    migrated(tmp_path)
    places = Settings(home=tmp_path)
    journal = Journal(sqlite_url(tmp_path / "journal.db"), FileAnchor(tmp_path / "anchor"), clock=CLOCK)
    trainer = Trainer(
        models=open_models(places, clock=CLOCK),
        tracker=open_tracker(places, clock=CLOCK),
        ledger=Ledger(journal, "test"),
        shelf=Shelf(tmp_path / "trainings"),
        clock=CLOCK,
        actor="test",
        listener=lambda _: None,
    )
    document = arrays.document
    published = trainer.train(order_for(strategy, document, code_version="test"), document, arrays)
    run = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}").get_run(published.version.run_id)
    assert run.data.tags["train_lineage_id"] == published.manifest.snapshot_id == document.id
