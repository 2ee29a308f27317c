"""pyqlib's nets on sequences, kept as safetensors."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save

from quant_pipelines.models.data import Examples, Inputs, require_learnable, require_readable
from quant_pipelines.models.failures import DeviceMissing, Diverged, NotLearnable, StateRefused
from quant_pipelines.models.forecaster import ONE_THREAD, Description, Files, Fitting, History, Machine, Step
from quant_pipelines.models.kinds.qlib_classes import PACKAGE, QLIB_CLASSES, STEP_LEN
from quant_pipelines.models.neural.machine import memory_of_batches
from quant_pipelines.models.pyqlib.classes import MODULES, class_of
from quant_pipelines.models.pyqlib.dataset import dataset_of, flat
from quant_pipelines.models.pyqlib.isolation import borrowed
from quant_pipelines.models.spec import ModelSettings

FILE = "weights.safetensors"
_ROWS_AT_ONCE = 512
_TRAIN, _VALIDATION = "train", "valid"


class QlibNet:
    """One output: the label set's value."""

    def __init__(self, settings: ModelSettings, state: Files | None = None) -> None:
        self.settings = settings
        self._path = settings.kind.removeprefix(PACKAGE)
        self._net: torch.nn.Module | None = None if state is None else self._restored(state)

    def fit(self, train: Examples, validation: Examples, fitting: Fitting) -> History:
        require_learnable(QLIB_CLASSES[self.settings.kind], self.settings, train, validation)
        if not len(validation):
            raise NotLearnable(f"{self.settings.kind} stops by its validation rows, and there are none.")
        if train.weight is not None:
            raise NotLearnable(
                f"{self.settings.kind} counts every row the same. Leave half_life_sessions and weigh_uniqueness out of "
                "the strategy, or use a net of ours."
            )
        # pyqlib drops every batch that is not full, and with it whole parts that are smaller than one.
        rows = min(int(self.settings.parameters["batch_size"]), len(train), len(validation))
        told = _Told(int(self.settings.parameters["n_epochs"]), fitting)
        with (
            borrowed(fitting.machine, with_torch=True),
            TemporaryDirectory() as folder,
            memory_of_batches(rows),
        ):
            model = self._made(fitting.machine, seed=fitting.seed, batch_size=rows)
            model.fit(dataset_of(train, validation), evals_result=told, save_path=str(Path(folder) / "best"))
        self._net = getattr(model, MODULES[self._path]).to("cpu")
        return History(steps=tuple(told.steps), best=told.best)

    def predict(self, inputs: Inputs, machine: Machine = ONE_THREAD) -> NDArray[np.float32]:
        require_readable(QLIB_CLASSES[self.settings.kind], self.settings, inputs)
        net, found = self.net, np.empty((len(inputs), 1), np.float32)
        net.eval()
        with borrowed(machine, with_torch=True), torch.no_grad():
            for first in range(0, len(inputs), _ROWS_AT_ONCE):
                part = inputs.rows(slice(first, first + _ROWS_AT_ONCE))
                found[first : first + len(part), 0] = _forecasts(net, part)
        return found

    def state(self) -> Files:
        return {FILE: save({name: each.detach().clone() for name, each in self.net.state_dict().items()})}

    def describe(self) -> Description:
        return Description(
            size=sum(each.numel() for each in self.net.parameters()), facts={"class": self.settings.kind}
        )

    @property
    def net(self) -> torch.nn.Module:
        if self._net is None:
            raise StateRefused(f"This {self.settings.kind} has not been fitted. Fit it, or load a version that was.")
        return self._net

    def _made(self, machine: Machine, **more: Any) -> Any:
        chosen = {name: value for name, value in self.settings.parameters.items() if name != STEP_LEN}
        return class_of(self._path)(
            **{**chosen, "d_feat": len(self.settings.columns), "GPU": _gpu(machine), "metric": "loss", **more}
        )

    def _restored(self, state: Files) -> torch.nn.Module:
        if set(state) != {FILE}:
            raise StateRefused(
                f"{self.settings.kind} is one file, {FILE}; found {', '.join(sorted(state)) or 'nothing'}."
            )
        with borrowed(ONE_THREAD, with_torch=True):
            net = getattr(self._made(ONE_THREAD), MODULES[self._path])
        try:
            net.load_state_dict(load(state[FILE]))
        except (SafetensorError, RuntimeError) as error:
            raise StateRefused(f"{FILE} is not the state of such a net: {str(error).splitlines()[0]}.") from error
        return net


def _forecasts(net: torch.nn.Module, part: Inputs) -> NDArray[np.float32]:
    """Always as many rows at once: a matrix product of another size rounds otherwise."""
    values = flat(Examples(inputs=part, target=np.zeros((len(part), 1), np.float32)))
    whole = np.zeros((_ROWS_AT_ONCE, values.shape[1]), np.float32)
    whole[: len(values)] = values
    return net(torch.from_numpy(whole)).numpy()[: len(values)]


def _gpu(machine: Machine) -> int:
    if machine.device == "cuda" and not torch.cuda.is_available():
        raise DeviceMissing("A GPU was asked for, and there is none. Use device: auto or cpu.")
    return 0 if machine.device != "cpu" and torch.cuda.is_available() else -1


class _Told(dict[str, list[float]]):
    """pyqlib writes each epoch's scores here, the training part's first; the second makes a step."""

    def __init__(self, epochs: int, fitting: Fitting) -> None:
        super().__init__()
        self._epochs, self._fitting = epochs, fitting
        self.steps: list[Step] = []

    def __setitem__(self, name: str, values: list[float]) -> None:
        super().__setitem__(name, _Scores(self) if name == _VALIDATION else values)

    @property
    def best(self) -> int:
        losses = [each.metrics["validation_loss"] for each in self.steps]
        return losses.index(min(losses)) + 1

    def told(self, score: float) -> None:
        """One epoch is done. Scores are losses with a minus."""
        losses = {"train_loss": -float(self[_TRAIN][-1]), "validation_loss": -float(score)}
        number = len(self.steps) + 1
        if not np.isfinite(list(losses.values())).all():
            raise Diverged(f"The loss of epoch {number} is not finite. Lower the learning rate, or scale the features.")
        step = Step(number=number, of=self._epochs, metrics=losses)
        self.steps.append(step)
        self._fitting.watch(step)


class _Scores(list[float]):
    """The validation scores, epoch by epoch."""

    def __init__(self, told: _Told) -> None:
        super().__init__()
        self._told = told

    def append(self, score: float) -> None:
        super().append(score)
        self._told.told(score)
