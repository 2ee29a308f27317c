"""From a recipe to arrays. Building and verifying do the same thing, so that a difference is one of the data."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.calendars import session_key
from quant_pipelines.snapshots.document import FrozenNormaliser, FrozenSplit, Recipe
from quant_pipelines.snapshots.drafts import Draft, Stage
from quant_pipelines.snapshots.failures import NothingToLearn
from quant_pipelines.snapshots.gathering import Tables, gather, laid_out
from quant_pipelines.snapshots.layout import Layout
from quant_pipelines.snapshots.normalising import Scale, apply, fitted
from quant_pipelines.snapshots.sampling import Samples, sampled, split_of

BLOCK = "block"


@dataclass(frozen=True, eq=False, kw_only=True)
class Derived:
    """What a recipe gives: arrays by name, as files to be."""

    drafts: Mapping[str, Draft]
    layout: Layout
    samples: int
    left_out: Mapping[str, int]
    split: FrozenSplit | None
    normaliser: FrozenNormaliser


def derived(
    recipe: Recipe, tables: Tables, *, scale: Scale | None = None, threads: int, stage: Stage | None = None
) -> Derived:
    """The recipe's arrays, in files where they are to be kept; an inference brings the scale of its model."""
    layout = laid_out(recipe, tables)
    draft = Draft.empty(np.dtype(np.float32), (layout.rows, len(recipe.features)), stage)
    block = draft.array
    # Labels are found while the block is filled: neither needs the other, and both leave gaps on a core.
    with ThreadPoolExecutor(1) as beside:
        labelled = None if recipe.labels is None else beside.submit(sampled, recipe, recipe.labels, tables, layout)
        gather(recipe, tables, layout, block, threads=threads)
    samples = None if labelled is None else labelled.result()
    if samples is not None and samples.rows.size == 0:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in samples.left_out.items())
        raise NothingToLearn(
            f"No row of {recipe.strategy} can be learned from at {session_key(recipe.cutoff)} ({reasons}). "
            "Look at the labels and the universe of these sessions."
        )
    split = None if samples is None else split_of(recipe, samples, layout)
    rows, fitted_on = _fitted_rows(layout, split)
    if scale is None:
        scale = fitted(recipe.normalisation.kind, block, rows, recipe.columns, threads=threads)
        normaliser = _normaliser(recipe, scale, rows.size, fitted_on)
    else:
        normaliser = FrozenNormaliser(fitted_on=f"snapshot {recipe.trained_on}", rows=0)
    apply(scale, recipe.normalisation, block, threads=threads)
    small = _small_arrays(layout, samples, scale)
    return Derived(
        drafts={BLOCK: draft, **{name: Draft.of(array, stage) for name, array in small.items()}},
        layout=layout,
        samples=0 if samples is None else samples.rows.size,
        left_out={} if samples is None else samples.left_out,
        split=split,
        normaliser=normaliser,
    )


def _fitted_rows(layout: Layout, split: FrozenSplit | None) -> tuple[NDArray[np.int64], str]:
    """The members' rows of the training part; of the whole window where there are too few sessions for parts."""
    if split is None or split.train is None:
        return np.flatnonzero(layout.member), "the whole window: too few sessions for a holdout"
    ends = (np.datetime64(each, "us") for each in (split.train.first, split.train.last))
    first, last = (int(np.searchsorted(layout.axis, each)) for each in ends)
    session = layout.session
    inside = layout.member & (session >= first) & (session <= last)
    return np.flatnonzero(inside), f"{session_key(split.train.first)} to {session_key(split.train.last)}"


def _normaliser(recipe: Recipe, scale: Scale, rows: int, fitted_on: str) -> FrozenNormaliser:
    if recipe.normalisation.kind == "none":
        return FrozenNormaliser(fitted_on="nothing: columns are as they are", rows=0)
    constant, empty = (tuple(recipe.columns[at] for at in each) for each in (scale.constant, scale.empty))
    return FrozenNormaliser(fitted_on=fitted_on, rows=rows, constant=constant, empty=empty)


def _small_arrays(layout: Layout, samples: Samples | None, scale: Scale) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "axis": layout.axis,
        "symbols": np.array(layout.symbols, np.str_),
        "offsets": layout.offsets,
        "session": layout.session,
        "member": layout.member,
        "centre": scale.centre,
        "scale": scale.scale,
    }
    if samples is None:
        return arrays
    labels = {
        "sample_rows": samples.rows,
        "opens": samples.opens,
        "resolves": samples.resolves,
        "value": samples.value,
        "buyable": samples.buyable,
        "direction": samples.direction,
        "returns": samples.returns,
    }
    return arrays | {name: array for name, array in labels.items() if array is not None}
