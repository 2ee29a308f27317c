"""What a training leaves behind: the ledger's rows, and the shelf."""

import pytest

from quant_pipelines.journal import FileAnchor, Journal, sqlite_url
from quant_pipelines.training import Count, Engine, Ledger, Shelf, order_for
from quant_pipelines.training.shelf import ShelfDamaged, Waiting
from tests.unit.snapshots.conftest import CLOCK

QUICK = {"kind": "lightgbm", "hyperparameters": {"num_boost_round": 3, "num_leaves": 4}}


@pytest.fixture(scope="module")
def trained(frozen):
    strategy, arrays = frozen(model=QUICK, label_set="qlib_return")
    order = order_for(strategy, arrays.document, code_version="test")
    return Engine(clock=CLOCK, listener=lambda _: None).train(order, arrays)


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    journal = Journal(sqlite_url(tmp_path / "journal.db"), FileAnchor(tmp_path / "anchor"), clock=CLOCK)
    return Ledger(journal, "test")


def test_every_training_counts_however_it_ended(ledger, trained):
    order = trained.order
    ledger.ended(ledger.began(order), order, "completed", metrics={"validation_mse": 0.1})
    ledger.ended(ledger.began(order, "trial"), order, "failed", reason="Diverged: no.")
    ledger.ended(ledger.began(order, "trial"), order, "stopped")
    ledger.began(order)
    count = ledger.count(order.model_name)
    assert count == Count(begun=4, trials=2, completed=1, failed=1, stopped=1)
    assert count.without_end == 1
    assert ledger.count("tiny.other").begun == 0


def test_an_end_is_put_on_record_once(ledger, trained):
    began = ledger.began(trained.order)
    for _ in range(2):
        ledger.ended(began, trained.order, "completed")
    assert ledger.count(trained.order.model_name).completed == 1


def test_the_ledger_is_part_of_the_journals_chain(ledger, trained):
    ledger.ended(ledger.began(trained.order), trained.order, "completed")
    assert ledger.journal.verify() == []


def test_what_was_put_on_the_shelf_is_found_there(tmp_path, trained):
    shelf = Shelf(tmp_path / "trainings")
    assert shelf.find(trained.order) is None
    shelf.put(trained, "run")
    shelf.put(trained, "run")
    assert shelf.find(trained.order) == Waiting(trained=trained, run_id="run")
    assert [each.name for each in shelf.folder.iterdir()] == [trained.order.training_id]
    shelf.drop(trained.order)
    assert shelf.find(trained.order) is None


@pytest.mark.parametrize("damage", ["flip", "cut", "lose", "add"])
def test_a_damaged_training_is_refused_by_name(tmp_path, trained, damage):
    shelf = Shelf(tmp_path / "trainings")
    shelf.put(trained, "run")
    place = shelf.folder / trained.order.training_id
    file = place / "booster.txt"
    if damage == "flip":
        file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "lose":
        file.unlink()
    else:
        (place / "more").write_bytes(b"")
    with pytest.raises(ShelfDamaged, match="has to be trained again"):
        shelf.find(trained.order)
    assert place.exists()
