"""A snapshot as examples: what a kind of model learns of its label set, and how much each row counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.labels import LABEL_SETS, average_uniqueness, exponential_decay
from quant_pipelines.models import Examples, ModelSettings, ModelSpec, NotLearnable, Task
from quant_pipelines.serving import inputs_of
from quant_pipelines.snapshots import SnapshotArrays
from quant_pipelines.snapshots.loading import LabelArrays, PartName
from quant_pipelines.strategies import Training

Places = NDArray[np.int64]
_Found = TypeVar("_Found")


@dataclass(frozen=True, eq=False, kw_only=True)
class Part:
    """Rows of a part of the split, and each one's return, which scores are judged by whatever was learned."""

    examples: Examples
    value: NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Material:
    """What a training learns from and chooses by; `short` rows have too few sessions before them and are left out."""

    train: Part
    validation: Part
    short: Mapping[str, int]


def task_of(spec: ModelSpec, label_set: str) -> Task:
    """All that the label set has, where the kind can learn it; its one value otherwise (X-37)."""
    labels = LABEL_SETS[label_set]
    if not spec.many_outputs:
        return Task()
    if labels.by_session:
        return Task(outputs=labels.width)
    if labels.classes is None:
        return Task()
    return Task(kind="classes", outputs=2 if labels.classes.down_below is None else 3)


def material_of(arrays: SnapshotArrays, settings: ModelSettings, training: Training) -> Material:
    """The training and validation rows of a snapshot. Its holdout is not looked at."""
    split = arrays.document.outcome.split
    if arrays.labels is None or split is None or split.train is None:
        reason = "it is an inference" if split is None else f"{split.status}: {split.reason}"
        raise NotLearnable(
            f"Snapshot {arrays.document.id[:16]} has nothing to train on: {reason}. Use a longer training window."
        )
    chosen = samples_to_learn(arrays, settings)
    parts = {name: part_of(arrays, settings, training, rows) for name, rows in chosen.items()}
    short = {name: int(arrays.part(name).size - rows.size) for name, rows in chosen.items()}
    return Material(train=parts["train"], validation=parts["validation"], short=short)


def samples_to_learn(arrays: SnapshotArrays, settings: ModelSettings) -> dict[PartName, Places]:
    """The samples of the training and the validation part that have enough sessions before them, by number."""
    whole = np.zeros(arrays.samples.size, bool)
    whole[arrays.sequences(settings.length).samples] = True
    parts: tuple[PartName, ...] = ("train", "validation")
    return {name: rows[whole[rows]] for name in parts for rows in (arrays.part(name),)}


def part_of(arrays: SnapshotArrays, settings: ModelSettings, training: Training, samples: Places) -> Part:
    """Samples of a snapshot, by number, with what came after and how much each counts among them."""
    labels = _there(arrays.labels)
    examples = Examples(
        inputs=inputs_of(arrays, settings, samples),
        target=target_of(labels, settings.task, samples),
        weight=_weights(arrays, labels, training, samples),
    )
    return Part(examples=examples, value=labels.value[samples])


def target_of(labels: LabelArrays, task: Task, samples: Places) -> NDArray[Any]:
    """What came, in the units of the task."""
    if task.kind == "numbers":
        found = labels.value[:, None] if task.outputs == 1 else labels.returns
        return _there(found)[samples].astype(np.float32)
    direction = _there(labels.direction)[samples].astype(np.int64)
    # Classes from 0: down, neutral, up are -1, 0, 1; without a neutral one they are 0 and 1 already.
    return direction + 1 if task.outputs > 2 else direction  # noqa: PLR2004


def _there(found: _Found | None) -> _Found:
    if found is None:
        raise NotLearnable("The snapshot lacks what its label set has. Make it anew: qp snapshot verify says why.")
    return found


def _weights(
    arrays: SnapshotArrays, labels: LabelArrays, training: Training, samples: Places
) -> NDArray[np.float32] | None:
    """Uniqueness times age, with a mean of 1; None where the strategy asks for neither."""
    if not samples.size or not (training.weigh_uniqueness or training.half_life_sessions):
        return None
    rows = arrays.samples[samples]
    weights = np.ones(samples.size)
    if training.weigh_uniqueness:
        owners = arrays.symbol_of(rows)
        weights *= average_uniqueness(labels.opens[samples], labels.resolves[samples], owners)
    if training.half_life_sessions is not None:
        age = arrays.session[rows].max() - arrays.session[rows]
        weights *= exponential_decay(age, half_life_sessions=training.half_life_sessions)
    return (weights / weights.mean()).astype(np.float32)
