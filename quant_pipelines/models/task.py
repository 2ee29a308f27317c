"""What a model forecasts: numbers, or one of several classes."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

_FEWEST_CLASSES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """`outputs` numbers per row (returns), or the probabilities of so many classes, from down to up."""

    kind: Literal["numbers", "classes"] = "numbers"
    outputs: int = 1

    def __post_init__(self) -> None:
        least = _FEWEST_CLASSES if self.kind == "classes" else 1
        if self.outputs < least:
            raise ValueError(f"A task with {self.kind} has {least} outputs or more, not {self.outputs}.")

    def signal(self, predictions: NDArray[np.floating]) -> NDArray[np.float64]:
        """One score per row, higher is better: the return over the whole horizon, or P(up) - P(down)."""
        values = np.asarray(predictions, np.float64).reshape(len(predictions), self.outputs)
        if self.kind == "classes":
            return values[:, -1] - values[:, 0]
        return values[:, 0] if self.outputs == 1 else np.prod(1.0 + values, axis=1) - 1.0
