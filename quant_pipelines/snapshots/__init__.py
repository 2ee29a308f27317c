"""Snapshots: which data exactly a model saw, frozen, named by content, ready for training, and proved again."""

from quant_pipelines.snapshots.building import Built, Maker, SnapshotBuilder
from quant_pipelines.snapshots.document import Document, Recipe
from quant_pipelines.snapshots.failures import (
    FeaturesOutdated,
    HorizonTooLong,
    InputMissing,
    InputsDisagree,
    NothingToLearn,
    PlanChanged,
    SnapshotDamaged,
    SnapshotDiffers,
    UnknownMembers,
    UnknownSnapshot,
)
from quant_pipelines.snapshots.loading import LabelArrays, Sequences, SnapshotArrays, load
from quant_pipelines.snapshots.store import SnapshotStore, open_snapshots

__all__ = [
    "Built",
    "Document",
    "FeaturesOutdated",
    "HorizonTooLong",
    "InputMissing",
    "InputsDisagree",
    "LabelArrays",
    "Maker",
    "NothingToLearn",
    "PlanChanged",
    "Recipe",
    "Sequences",
    "SnapshotArrays",
    "SnapshotBuilder",
    "SnapshotDamaged",
    "SnapshotDiffers",
    "SnapshotStore",
    "UnknownMembers",
    "UnknownSnapshot",
    "load",
    "open_snapshots",
]
