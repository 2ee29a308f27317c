"""Small panels of features with a planted signal, for models and what trains them."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.models import Examples, Inputs, ModelSpec, Task

COLUMNS = ("strong", "weak", "noise_a", "noise_b")
_WEIGHTS = np.array([1.0, 0.5, 0.0, 0.0], np.float32)


def planted(
    task: Task, *, seed: int = 7, symbols: int = 24, sessions: int = 60, length: int = 1, noise: float = 0.5
) -> Examples:
    """Rows of a panel whose target is a line through two of four features of the last session, and noise."""
    chance = np.random.default_rng(seed)
    depth = sessions + length - 1
    block = chance.standard_normal((symbols * depth, len(COLUMNS))).astype(np.float32)
    ends = np.concatenate([np.arange(depth * each + length - 1, depth * (each + 1)) for each in range(symbols)])
    session = np.tile(np.arange(sessions), symbols)
    order = np.lexsort((ends, session))
    inputs = Inputs(
        block=block, ends=ends[order], sessions=session[order].astype(np.int64), columns=COLUMNS, length=length
    )
    return Examples(inputs=inputs, target=_target(task, inputs, chance, noise))


def halves(examples: Examples) -> tuple[Examples, Examples]:
    """The first two thirds of the sessions, and the rest."""
    cut = np.quantile(examples.inputs.sessions, 2 / 3)
    early = examples.inputs.sessions <= cut
    return examples.rows(early), examples.rows(~early)


def with_column(examples: Examples, column: int, values: NDArray[np.float32] | float) -> Examples:
    """The same rows with other values in one column."""
    block = examples.inputs.block.copy()
    block[:, column] = values
    return replace(examples, inputs=replace(examples.inputs, block=block))


def task_for(spec: ModelSpec) -> Task:
    """What a kind learns on these panels: all it can."""
    return Task(outputs=2) if spec.many_outputs else Task()


def _target(task: Task, inputs: Inputs, chance: np.random.Generator, noise: float) -> NDArray[np.float32 | np.int64]:
    signal = inputs.panel() @ _WEIGHTS + noise * chance.standard_normal(len(inputs)).astype(np.float32)
    if task.kind == "classes":
        edges = np.quantile(signal, np.arange(1, task.outputs) / task.outputs)
        return np.searchsorted(edges, signal).astype(np.int64)
    return 0.01 * np.stack([signal * 0.5**each for each in range(task.outputs)], axis=1).astype(np.float32)
