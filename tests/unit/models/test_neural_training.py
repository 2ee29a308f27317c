"""The one training loop, and what becomes of a state."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from quant_pipelines.models import (
    MODEL_KINDS,
    BatchTooLarge,
    DeviceMissing,
    Diverged,
    Examples,
    Fitting,
    Machine,
    NotLearnable,
    OutOfMemory,
    StateRefused,
    Step,
    Task,
)
from quant_pipelines.models.neural.forecaster import NeuralForecaster
from quant_pipelines.models.neural.nets.mlp import FeedForwardNet
from quant_pipelines.models.neural.pace import LoopSettings, Pace
from quant_pipelines.models.neural.rows import PREDICTED_AT_ONCE
from quant_pipelines.models.neural.weights import FILE
from tests.learnable import COLUMNS, halves, planted

SPEC = MODEL_KINDS["mlp"]
NUMBERS, CLASSES = Task(outputs=2), Task(kind="classes", outputs=3)
TRAIN, VALIDATION = halves(planted(NUMBERS))
NONE = VALIDATION.rows(slice(0, 0))
QUICK = {"hidden_size": 16, "n_epochs": 6, "batch_size": 100, "lr": 0.01}
ON_A_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def model_of(task: Task = NUMBERS, *, net: type[FeedForwardNet] = FeedForwardNet, **chosen) -> NeuralForecaster:
    return NeuralForecaster(SPEC, net, SPEC.settings(task, COLUMNS, chosen={**QUICK, **chosen}), None)


def trained(train: Examples = TRAIN, validation: Examples = VALIDATION, *, seed: int = 0, **chosen):
    model = model_of(**chosen)
    return model, model.fit(train, validation, Fitting(seed=seed))


def test_training_neither_uses_nor_changes_the_chance_of_the_process():
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        states.append(trained(dropout=0.5)[0].state())
        assert torch.equal(torch.get_rng_state(), before)
    assert states[0] == states[1]


def test_another_seed_is_another_model():
    assert trained(seed=1)[0].state() != trained(seed=2)[0].state()


def test_the_threads_of_the_process_are_given_back():
    before = torch.get_num_threads()
    model_of().fit(TRAIN, VALIDATION, Fitting(machine=Machine(threads=before + 1)))
    assert torch.get_num_threads() == before


class Recorder(FeedForwardNet):
    """Keeps what it was shown."""

    def __init__(self, settings) -> None:
        super().__init__(settings)
        self.learned: list[torch.Tensor] = []
        self.judged: list[int] = []

    def forward(self, x):
        if self.training:
            self.learned.append(x[:, -1].clone())
        else:
            self.judged.append(len(x))
        return super().forward(x)


def test_every_row_is_learned_from_once_an_epoch_in_another_order():
    model, _ = trained(net=Recorder, n_epochs=2, batch_size=101)
    learned = model.fitted.net.learned
    steps = -(-len(TRAIN) // 101)
    assert [len(each) for each in learned[:steps]] == [101] * (steps - 1) + [len(TRAIN) % 101]
    epochs = [torch.cat(learned[:steps]).numpy(), torch.cat(learned[steps:]).numpy()]
    assert not np.array_equal(epochs[0], epochs[1])
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch, axis=0), np.sort(TRAIN.inputs.panel(), axis=0))


def test_judging_goes_in_batches_of_one_size():
    """S1-89, batched inference: of one size, so that none changes a prediction."""
    model, _ = trained(net=Recorder, n_epochs=1)
    assert model.fitted.net.judged == [PREDICTED_AT_ONCE] * -(-len(VALIDATION) // PREDICTED_AT_ONCE)


def test_the_weights_of_the_best_epoch_are_kept():
    """Training that ends at the best epoch gives the same model, so nothing later is in it."""
    model, history = trained(n_epochs=40, lr=0.05, early_stop=5)
    losses = history.curve("validation_loss")
    assert history.best == 1 + int(np.argmin(losses)) < len(losses)
    assert len(losses) == history.best + 5
    ended = model_of(n_epochs=history.best, lr=0.05)
    ended.fit(TRAIN, NONE, Fitting())
    assert ended.state() == model.state()


def test_without_rows_to_judge_by_every_epoch_is_run_and_the_last_one_counts():
    _, history = trained(TRAIN, NONE, early_stop=1)
    assert (len(history.steps), history.best) == (6, 6)
    assert not [name for name in history.steps[0].metrics if name.startswith("validation")]


def test_the_loss_told_is_that_of_the_predictions():
    model, history = trained()
    spread = TRAIN.target.std(axis=0)
    slowly = np.mean(((model.predict(VALIDATION.inputs) - VALIDATION.target) / spread) ** 2)
    assert history.steps[history.best - 1].metrics["validation_loss"] == pytest.approx(slowly, rel=1e-4)


def test_the_ic_told_is_the_mean_over_sessions():
    model, history = trained()
    score, outcome = NUMBERS.signal(model.predict(VALIDATION.inputs)), NUMBERS.signal(VALIDATION.target)
    sessions = VALIDATION.inputs.sessions
    slowly = [np.corrcoef(score[sessions == at], outcome[sessions == at])[0, 1] for at in np.unique(sessions)]
    assert history.steps[history.best - 1].metrics["validation_ic"] == pytest.approx(np.mean(slowly), rel=1e-5)


def test_a_classifier_tells_its_accuracy_and_answers_with_probabilities():
    train, validation = halves(planted(CLASSES))
    model, history = trained(train, validation, task=CLASSES)
    found = model.predict(validation.inputs)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    told = history.steps[history.best - 1].metrics
    assert told["validation_accuracy"] == pytest.approx(np.mean(found.argmax(axis=1) == validation.target))
    assert told["validation_accuracy"] > 0.5
    assert 0 < told["train_accuracy"] <= 1


def test_the_size_of_the_target_does_not_matter():
    """Returns are about a hundredth; a net learns them like anything else."""
    larger = replace(TRAIN, target=4096 * TRAIN.target), replace(VALIDATION, target=4096 * VALIDATION.target)
    small, large = trained()[0], trained(*larger)[0]
    np.testing.assert_allclose(
        4096 * small.predict(VALIDATION.inputs), large.predict(VALIDATION.inputs), rtol=1e-2, atol=1e-2
    )


def test_a_loss_that_is_no_number_ends_the_training_by_name():
    told: list[Step] = []
    with pytest.raises(Diverged, match=r"train_loss became (nan|inf) in epoch [12] of 6"):
        model_of(optimizer="sgd", weight_decay=1e6).fit(TRAIN, VALIDATION, Fitting(watch=told.append))
    assert len(told) < 2


class Steep(FeedForwardNet):
    """Adds a root of 0: nothing, with a gradient that is no number."""

    def forward(self, x):
        return super().forward(x) + (0 * self.layers[0].weight).square().sum().sqrt()


def test_weights_that_the_last_step_made_no_numbers_are_not_kept():
    model = model_of(net=Steep, n_epochs=1, batch_size=len(TRAIN))
    with pytest.raises(Diverged, match="A weight is NaN or infinite after 1 epochs"):
        model.fit(TRAIN, NONE, Fitting())
    with pytest.raises(StateRefused, match="has not been fitted"):
        model.state()


@pytest.mark.parametrize("weight", [0.0, -1.0, np.nan])
def test_weights_of_nothing_are_refused(weight):
    with pytest.raises(NotLearnable, match="Weights from"):
        trained(replace(TRAIN, weight=np.full(len(TRAIN), weight, np.float32)))


def test_equal_weights_are_no_weights():
    plain = trained()[0].predict(VALIDATION.inputs)
    weighted = trained(replace(TRAIN, weight=np.full(len(TRAIN), 4, np.float32)))[0].predict(VALIDATION.inputs)
    np.testing.assert_allclose(weighted, plain, rtol=1e-5, atol=1e-7)


def pace_of(weight: nn.Linear, **chosen) -> Pace:
    return Pace(weight, LoopSettings.of(SPEC.parameters("default", {"lr": 1.0, "optimizer": "sgd", **chosen})))


def test_gradients_are_clipped_by_value():
    layer = nn.Linear(2, 1, bias=False)
    before = layer.weight.detach().clone()
    pace_of(layer, gradient_clip=3.0).step((layer.weight * torch.tensor([[100.0, 0.5]])).sum())
    torch.testing.assert_close(before - layer.weight.detach(), torch.tensor([[3.0, 0.5]]))


def test_the_learning_rate_follows_its_schedule():
    cosine = trained(scheduler="cosine")[1].curve("lr")
    np.testing.assert_allclose(cosine, 0.005 * (1 + np.cos(np.pi * np.arange(6) / 6)))
    assert set(trained()[1].curve("lr")) == {0.01}
    plateau = pace_of(nn.Linear(1, 1), scheduler="plateau")
    rates = []
    for loss in [3.0, 2.0] + [2.0] * 6:
        plateau.rest(loss)
        rates.append(plateau.lr)
    assert rates == [1.0] * 7 + [0.5]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_every_optimizer_learns(optimizer):
    _, history = trained(optimizer=optimizer, weight_decay=1e-4)
    losses = history.curve("validation_loss")
    assert losses[-1] < losses[0]


def test_a_block_that_cannot_be_written_to_is_read(tmp_path):
    """Blocks of snapshots are mapped read-only."""
    np.save(tmp_path / "block.npy", TRAIN.inputs.block)
    mapped = np.load(tmp_path / "block.npy", mmap_mode="r")
    inputs = replace(TRAIN.inputs, block=mapped)
    model, _ = trained(replace(TRAIN, inputs=inputs))
    np.testing.assert_array_equal(model.predict(inputs), trained()[0].predict(TRAIN.inputs))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_and_auto_does_without():
    model = model_of()
    with pytest.raises(DeviceMissing, match="finds none"):
        model.fit(TRAIN, VALIDATION, Fitting(machine=Machine(device="cuda")))
    model.fit(TRAIN, VALIDATION, Fitting(machine=Machine(device="auto")))
    with pytest.raises(DeviceMissing):
        model.predict(VALIDATION.inputs, Machine(device="cuda"))
    assert model.state() == trained()[0].state()


def with_header(change) -> bytes:
    """A state whose header was changed."""
    data = trained()[0].state()[FILE]
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    change(header)
    changed = json.dumps(header).encode()
    return struct.pack("<Q", len(changed)) + changed + data[8 + size :]


def with_tensors(change) -> bytes:
    found = load(trained()[0].state()[FILE])
    change(found)
    return save(found)


def cut_short(header) -> None:
    header["objective.scale"]["data_offsets"][1] -= 4


def far_beyond(header) -> None:
    header["objective.scale"]["data_offsets"][1] = 2**60


def huge(header) -> None:
    header["objective.scale"]["shape"] = [2**40]


def of_unknown_type(header) -> None:
    header["objective.scale"]["dtype"] = "F12"


WEIGHT = "net.layers.0.weight"
CORPUS = {
    "another type": lambda: with_tensors(lambda found: found.update({WEIGHT: found[WEIGHT].double()})),
    "another shape": lambda: with_tensors(lambda found: found.update({WEIGHT: found[WEIGHT].T.contiguous()})),
    "one more": lambda: with_tensors(lambda found: found.update({"more": torch.zeros(1)})),
    "one less": lambda: with_tensors(lambda found: found.pop(WEIGHT)),
    "NaN": lambda: with_tensors(lambda found: found[WEIGHT].fill_(torch.nan)),
    "offsets too short": lambda: with_header(cut_short),
    "offsets beyond the end": lambda: with_header(far_beyond),
    "a huge shape": lambda: with_header(huge),
    "an unknown type": lambda: with_header(of_unknown_type),
    "a header longer than the file": lambda: struct.pack("<Q", 2**62) + b"{}",
    "no JSON": lambda: struct.pack("<Q", 4) + b"{{{{",
    "a pickle": lambda: b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("made", CORPUS.values(), ids=CORPUS)
def test_a_state_that_is_not_exactly_that_of_the_net_is_refused(made):
    with pytest.raises(StateRefused, match=FILE):
        SPEC.make(model_of().settings, {FILE: made()})


def test_a_state_of_another_task_or_size_is_refused():
    state = trained()[0].state()
    for settings in (
        SPEC.settings(CLASSES, COLUMNS, chosen=QUICK),
        SPEC.settings(NUMBERS, COLUMNS, chosen={**QUICK, "hidden_size": 17}),
    ):
        with pytest.raises(StateRefused, match="tensors differ"):
            SPEC.make(settings, state)


@ON_A_GPU
@pytest.mark.parametrize(
    "kind", ["mlp", "lstm", "transformer", "informer", "timesnet", "patchtst", "tabnet", "tcn", "tft"]
)
def test_on_a_gpu_a_net_learns_and_is_kept_for_any_machine(kind):
    spec = MODEL_KINDS[kind]
    settings = spec.settings(NUMBERS, COLUMNS, chosen={"n_epochs": 6, "batch_size": 64, "lr": 0.005})
    train, validation = halves(planted(NUMBERS, length=settings.length))
    model, gpu = spec.make(settings, None), Machine(device="cuda")
    losses = model.fit(train, validation, Fitting(machine=gpu)).curve("validation_loss")
    assert losses.min() < losses[0]
    there = model.predict(validation.inputs, gpu)
    np.testing.assert_allclose(there, model.predict(validation.inputs), rtol=1e-2, atol=1e-3)
    assert spec.make(settings, model.state()).state() == model.state()


class Hungry(FeedForwardNet):
    """Asks for more memory than any machine has, in batches of more than 40 rows; when judged, of any size."""

    always = False

    def forward(self, x):
        if (self.training and len(x) > 40) or (self.always and not self.training):
            torch.empty(2**60)
        return super().forward(x)


class AlwaysHungry(Hungry):
    always = True


def test_memory_that_runs_out_over_a_batch_names_its_rows_and_leaves_no_model():
    """S2-110: so that a smaller one can be tried."""
    model = model_of(net=Hungry, batch_size=100)
    with pytest.raises(BatchTooLarge, match=r"of 100 rows: can't .* 4611686018427387904 bytes\. Use") as refused:
        model.fit(TRAIN, VALIDATION, Fitting())
    assert refused.value.rows == 100
    with pytest.raises(StateRefused, match="has not been fitted"):
        model.state()
    model_of(net=Hungry, batch_size=40).fit(TRAIN, VALIDATION, Fitting())


def test_a_batch_is_no_larger_than_there_are_rows():
    with pytest.raises(BatchTooLarge) as refused:
        model_of(net=Hungry, batch_size=1_000_000).fit(TRAIN, VALIDATION, Fitting())
    assert refused.value.rows == len(TRAIN)


def test_memory_that_no_smaller_batch_would_mend_is_another_error():
    with pytest.raises(OutOfMemory) as refused:
        model_of(net=AlwaysHungry, batch_size=40).fit(TRAIN, VALIDATION, Fitting())
    assert not isinstance(refused.value, BatchTooLarge)
