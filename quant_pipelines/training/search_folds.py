"""The folds that a search judges by: the past learns, what follows is tested, and neither knows of the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.models import Examples, ModelSettings, NotLearnable
from quant_pipelines.snapshots import SnapshotArrays
from quant_pipelines.strategies import Training
from quant_pipelines.training.data import Part, part_of, samples_to_learn
from quant_pipelines.training.search_settings import Search
from quant_pipelines.validation import (
    CombinatorialPurged,
    LabelSpans,
    Split,
    Splits,
    WalkForward,
    purge,
    purged_k_fold,
)

Rows = NDArray[np.int64]
Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class FoldRows:
    """Row numbers. `tail` is the newest part of what may be learned from; it says when to stop."""

    train: Rows
    tail: Rows
    test: Rows


@dataclass(frozen=True, eq=False, kw_only=True)
class Fold:
    """One fold as examples, the test with its returns."""

    train: Examples
    tail: Examples
    test: Part


@dataclass(frozen=True, eq=False, kw_only=True)
class FoldPlan:
    """All folds of a search. A path goes through the tested sessions, each once: their places among those of all folds,
    fold after fold."""

    folds: tuple[Fold, ...]
    paths: tuple[Places, ...]


def folds_of(arrays: SnapshotArrays, settings: ModelSettings, training: Training, search: Search) -> FoldPlan:
    """The folds over the training and validation rows of a snapshot. Its holdout is not looked at."""
    samples = np.sort(np.concatenate(list(samples_to_learn(arrays, settings).values())))
    if arrays.labels is None or not samples.size:
        raise NotLearnable(f"Snapshot {arrays.document.id[:16]} has no rows to search on. Use a longer window.")
    spans = LabelSpans(
        arrays.session[arrays.samples[samples]].astype(np.int64),
        arrays.labels.opens[samples].astype(np.int64),
        arrays.labels.resolves[samples].astype(np.int64),
    )
    found = fold_rows(spans, search, tail_share=training.validation_share)
    folds = tuple(
        Fold(
            train=part_of(arrays, settings, training, samples[each.train]).examples,
            tail=part_of(arrays, settings, training, samples[each.tail]).examples,
            test=part_of(arrays, settings, training, samples[each.test]),
        )
        for each in found
    )
    return FoldPlan(folds=folds, paths=paths_of(spans, search, found))


def fold_rows(spans: LabelSpans, search: Search, *, tail_share: float) -> tuple[FoldRows, ...]:
    """The folds of some rows, each training part purged of whatever shares a session with its tail or its test."""
    found = _splits(spans, search)
    folds = tuple(_with_tail(each, spans, tail_share) for each in found.splits)
    if len(folds) < search.folds or any(not part.size for each in folds for part in (each.train, each.tail)):
        raise NotLearnable(
            f"{spans.sessions.size} sessions are too few for {search.folds} folds and labels that take "
            f"{spans.gap_sessions} sessions. {found.reason} Use fewer folds or a longer training window."
        )
    return folds


def paths_of(spans: LabelSpans, search: Search, folds: Sequence[FoldRows]) -> tuple[Places, ...]:
    """The ways through the tested sessions: one, and more where a session is tested more than once."""
    tested = [np.unique(spans.session[each.test]) for each in folds]
    begins = np.cumsum([0, *(each.size for each in tested)])
    if search.scheme != "combinatorial":
        return (np.arange(begins[-1]),)
    scheme = _combinatorial(search)
    groups = np.array_split(spans.sessions, scheme.groups)
    return tuple(
        np.concatenate(
            [begins[split] + np.flatnonzero(np.isin(tested[split], groups[group])) for group, split in enumerate(path)]
        )
        for path in scheme.paths
    )


def _combinatorial(search: Search) -> CombinatorialPurged:
    return CombinatorialPurged(
        groups=search.folds, test_groups=search.tested_together, embargo_sessions=search.embargo_sessions
    )


def _splits(spans: LabelSpans, search: Search) -> Splits:
    if search.scheme == "purged_k_fold":
        return purged_k_fold(folds=search.folds, embargo_sessions=search.embargo_sessions).split(spans)
    if search.scheme == "combinatorial":
        return _combinatorial(search).split(spans)
    # As many sessions to learn from at first as each fold tests.
    train = max(1, (spans.sessions.size - spans.gap_sessions) // (search.folds + 1))
    splitter = WalkForward(train_sessions=train, test_sessions=spans.sessions.size, expanding=True)
    tested = sum(np.unique(spans.session[each.test]).size for each in splitter.split(spans).splits)
    return WalkForward(train_sessions=train, test_sessions=max(1, -(-tested // search.folds)), expanding=True).split(
        spans
    )


def _with_tail(split: Split, spans: LabelSpans, share: float) -> FoldRows:
    sessions = np.unique(spans.session[split.train])
    count = max(1, round(share * sessions.size))
    newest = spans.session[split.train] >= (sessions[-count] if sessions.size else 0)
    tail = split.train[newest]
    return FoldRows(train=purge(split.train[~newest], tail, spans, embargo_sessions=0), tail=tail, test=split.test)
