"""What every model promises, whatever its kind. The conformance suite holds all kinds to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.models.data import Examples, Inputs
from quant_pipelines.models.spec import ModelSettings

# A model at rest: native booster files, safetensors, JSON. Never code, never a pickle.
Files = Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a computation may use. `cuda` is refused where there is none; `auto` takes it where there is one."""

    threads: int = 1
    device: Literal["cpu", "cuda", "auto"] = "cpu"


ONE_THREAD = Machine()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One epoch or iteration that is done, of at most so many, and what was measured in it."""

    number: int
    of: int
    metrics: Mapping[str, float]


# Told every step. It raises TrainingStopped where somebody wants the training to end.
Watch = Callable[[Step], None]


def unwatched(step: Step) -> None:
    """Nobody looks."""
    del step


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """How one training runs: its seed, the machine, and who watches."""

    seed: int = 0
    machine: Machine = ONE_THREAD
    watch: Watch = unwatched


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Every step of a training, and the one whose state was kept (from 1; 0 where training has no steps)."""

    steps: tuple[Step, ...]
    best: int

    def curve(self, metric: str) -> NDArray[np.float64]:
        return np.array([each.metrics.get(metric, np.nan) for each in self.steps])


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a fitted model is, for people: its size, its features' weight where it knows it, facts by name."""

    size: int
    importance: Mapping[str, float] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Forecaster(Protocol):
    """One model. It is made unfitted, or from the files of a state; fitting again starts over."""

    settings: ModelSettings

    def fit(self, train: Examples, validation: Examples, fitting: Fitting) -> History:
        """Learn from `train`, choose by `validation`. Refused or stopped, it stays as it was before."""
        ...

    def predict(self, inputs: Inputs, machine: Machine = ONE_THREAD) -> NDArray[np.float32]:
        """(rows x outputs): numbers, or the probabilities of the classes."""
        ...

    def state(self) -> Files:
        """Everything that a model of the same settings needs to predict the same, bit for bit."""
        ...

    def describe(self) -> Description: ...


@runtime_checkable
class Prepares(Protocol):
    """A model that can lay out its examples once for many fits, which a search shares among its trials."""

    def prepare(self, train: Examples, validation: Examples, fitting: Fitting) -> Any:
        """What depends on the examples and the machine alone, not on hyper-parameters or the seed."""
        ...

    def fit_prepared(self, prepared: Any, fitting: Fitting) -> History:
        """As `fit` with the examples that were prepared, to the bit."""
        ...
