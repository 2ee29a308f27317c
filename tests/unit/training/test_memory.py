"""Memory that runs out, really: the address space of this process is limited while a net learns (S2-110)."""

import resource
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from quant_pipelines.training import Progress, Stage, order_for
from tests.homes import Home
from tests.stored import migrated

# One layer of 65 536 units: each of hundreds of rows needs 256 KiB, several times.
WIDE = {"hidden_size": 65_536, "n_epochs": 1, "dropout": 0.0}
SCALED = {"kind": "robust", "clip": 3, "missing": "centre"}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits what a process may ask for")


@dataclass
class Narrow:
    """Listens to a training, and leaves it so many megabytes while it learns; what follows has all again."""

    megabytes: int
    told: list[str] = field(default_factory=list)
    before: tuple[int, int] = field(default_factory=lambda: resource.getrlimit(resource.RLIMIT_AS))

    def __call__(self, progress: Progress) -> None:
        self.told.append(progress.message)
        if progress.stage is Stage.TRAINING and progress.step is None:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            allowed = pages * resource.getpagesize() + self.megabytes * 2**20
            resource.setrlimit(resource.RLIMIT_AS, (allowed, self.before[1]))
        else:
            resource.setrlimit(resource.RLIMIT_AS, self.before)


@pytest.fixture
def place(tmp_path, tmp_path_factory):
    return Home(tmp_path, migrated(tmp_path_factory.mktemp("migrated")))


def asked_for(frozen, **chosen):
    strategy, arrays = frozen(
        model={"kind": "mlp", "hyperparameters": {**WIDE, **chosen}}, label_set="qlib_return", normalisation=SCALED
    )
    return order_for(strategy, arrays.document, code_version="test"), arrays.document, arrays


def test_a_training_without_memory_for_its_batch_is_done_with_a_smaller_one_and_says_so(place, frozen):
    asked, document, arrays = asked_for(frozen)
    narrow = Narrow(300)
    published = place.trainer(listener=narrow).train(asked, document, arrays)
    used = published.order.settings.parameters["batch_size"]
    assert 32 <= used < 400
    assert published.report.hyperparameters["batch_size"] == used
    assert f"batch_size {used} and not" in published.report.data_info["adjusted"]
    assert any("Memory ran out" in each and "Training again with batch_size" in each for each in narrow.told)
    assert published.version.training_id == published.order.training_id != asked.training_id
    count = place.ledger.count(asked.model_name)
    assert (count.failed, count.completed) == (count.begun - 1, 1)
    assert count.failed > 0
    runs = {run.info.status: run.data.tags for run in place.runs()[1]}
    assert "BatchTooLarge" in runs["FAILED"]["error"]
    assert f"batch_size {used} and not" in runs["FINISHED"]["adjusted"]
    again = place.trainer().train(published.order, document, arrays)
    assert not again.trained, "it is the training with that batch, whoever asks for it"


def test_a_batch_is_halved_until_hardly_any_rows_are_left(frozen):
    asked, _, _ = asked_for(frozen, batch_size=130)
    smaller = asked.with_smaller_batch(130).with_smaller_batch(65)
    assert smaller.settings.parameters["batch_size"] == 32
    assert smaller.adjusted == (
        "batch_size 65 and not 130, since memory ran out over 130 rows; "
        "batch_size 32 and not 65, since memory ran out over 65 rows"
    )
    assert smaller.with_smaller_batch(32) is None
    assert asked.with_smaller_batch(1_000).settings == asked_for(frozen, batch_size=500)[0].settings


def test_what_has_no_batch_cannot_have_a_smaller_one(frozen):
    strategy, arrays = frozen(model={"kind": "lightgbm"}, label_set="qlib_return")
    assert order_for(strategy, arrays.document, code_version="test").with_smaller_batch(1_000) is None
