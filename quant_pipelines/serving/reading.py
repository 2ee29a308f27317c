"""A stored version, and a snapshot's rows as it reads them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.models import Forecaster, Inputs, ModelSettings, spec_named
from quant_pipelines.registry import Loaded, Manifest, ModelStore, Version, compatible
from quant_pipelines.snapshots import Document, SnapshotArrays, SnapshotStore


@dataclass(frozen=True, eq=False, kw_only=True)
class Stored:
    """A version, verified, with the snapshot that it was trained on."""

    version: Version
    manifest: Manifest
    model: Forecaster
    document: Document


def stored_model(models: ModelStore, name: str, which: int | str) -> tuple[Manifest, Forecaster]:
    """A version that was verified before a byte of it was parsed, and its model."""
    packed = models.load(name, which)
    return packed.manifest, packed.model()


def stored_version(models: ModelStore, snapshots: SnapshotStore, version: Version) -> Stored:
    """The version with its model and its snapshot's document."""
    manifest, model = stored_model(models, version.model, version.number)
    return with_snapshot(Loaded(version=version, manifest=manifest, model=model), snapshots)


def with_snapshot(loaded: Loaded, snapshots: SnapshotStore) -> Stored:
    manifest = loaded.manifest
    document = snapshots.document(manifest.snapshot_id)
    return Stored(version=loaded.version, manifest=manifest, model=loaded.model, document=document)


def misfits(manifest: Manifest, document: Document) -> list[str]:
    """What keeps the model from reading the snapshot, in words."""
    recipe = document.recipe
    return compatible(
        manifest,
        columns=recipe.columns,
        feature_versions={each.name: each.version for each in recipe.features},
        length=spec_named(manifest.kind).sessions(manifest.parameters),
        label_set=None if recipe.labels is None else recipe.labels.label_set,
    )


def inputs_of(arrays: SnapshotArrays, settings: ModelSettings, samples: NDArray[np.int64]) -> Inputs:
    """Samples of a snapshot, by number, as a model reads them."""
    rows = arrays.samples[samples]
    return Inputs(
        block=arrays.block,
        ends=rows,
        sessions=arrays.session[rows].astype(np.int64),
        columns=arrays.columns,
        length=settings.length,
    )
