"""The forecaster of all nets."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from quant_pipelines.models.data import Examples, Inputs, require_learnable, require_readable
from quant_pipelines.models.failures import Diverged, StateRefused
from quant_pipelines.models.forecaster import ONE_THREAD, Description, Files, Fitting, History, Machine
from quant_pipelines.models.kinds.neural import QUANTISE
from quant_pipelines.models.neural.learner import Learner
from quant_pipelines.models.neural.loop import Judge, learn
from quant_pipelines.models.neural.machine import chance, computing, memory_of
from quant_pipelines.models.neural.net import Net
from quant_pipelines.models.neural.objectives import objective_of
from quant_pipelines.models.neural.pace import LoopSettings
from quant_pipelines.models.neural.rows import lesson_of, rows_of
from quant_pipelines.models.neural.weights import packed, restored
from quant_pipelines.models.spec import ModelSettings, ModelSpec


class NeuralForecaster:
    """Any net, with the one loop. A fitted one is kept on the CPU, wherever it was trained."""

    def __init__(
        self, spec: ModelSpec, make: Callable[[ModelSettings], Net], settings: ModelSettings, state: Files | None
    ) -> None:
        self.settings = settings
        self._spec, self._make = spec, make
        # A version of before this hyper-parameter does not have it.
        self._quantised = bool(settings.parameters.get(QUANTISE, False))
        # A net without memory refuses settings that do not fit together now, and knows which tensors a state has.
        with torch.device("meta"):
            blueprint = self._learner()
        self._kept = None if state is None else (self._restored(blueprint, state), state)

    def fit(self, train: Examples, validation: Examples, fitting: Fitting) -> History:
        require_learnable(self._spec, self.settings, train, validation)
        with memory_of(self.settings.kind), computing(fitting.machine) as device, chance(fitting.seed, device):
            lesson, judge = lesson_of(train, device), Judge.of(validation, self.settings.task, device)
            learner = self._learner().to(device)
            learner.objective.measure(lesson.target, lesson.weight)
            history = learn(learner, lesson, judge, LoopSettings.of(self.settings.parameters), fitting)
            learner.weigh_columns(lesson.rows)
        state = packed(learner, quantised=self._quantised)
        # Restored at once, so that every prediction is made by the weights that are kept.
        self._kept = (self._restored(learner.cpu(), state), state)
        return history

    def predict(self, inputs: Inputs, machine: Machine = ONE_THREAD) -> NDArray[np.float32]:
        require_readable(self._spec, self.settings, inputs)
        if not len(inputs):
            return np.empty((0, self.settings.task.outputs), np.float32)
        with computing(machine) as device:
            learner = self.fitted if device.type == "cpu" else copy.deepcopy(self.fitted).to(device)
            found = learner.answers(learner.raw(rows_of(inputs, device)))
        if not np.isfinite(found).all():
            raise Diverged(
                f"{self.settings.kind} predicts NaN or infinity for {int((~np.isfinite(found)).sum())} rows."
            )
        return found

    def state(self) -> Files:
        return self._fitted[1]

    def describe(self) -> Description:
        net = self.fitted.net
        shares = None if net.importance is None else [float(each) for each in net.importance]
        return Description(
            size=sum(each.numel() for each in net.parameters()),
            importance=None if shares is None else dict(zip(self.settings.columns, shares, strict=True)),
            facts={
                "sessions": self.settings.length,
                "outputs": self.settings.task.outputs,
                **({} if shares is None else {"importance": "share of the attention"}),
            },
        )

    @property
    def fitted(self) -> Learner:
        return self._fitted[0]

    @property
    def _fitted(self) -> tuple[Learner, Files]:
        if self._kept is None:
            raise StateRefused(f"This {self.settings.kind} has not been fitted. Fit it, or load a version that was.")
        return self._kept

    def _restored(self, learner: Learner, state: Files) -> Learner:
        restored(state, learner, quantised=self._quantised)
        return learner.eval()

    def _learner(self) -> Learner:
        return Learner(self._make(self.settings), objective_of(self.settings.task))
