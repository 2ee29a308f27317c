"""Purged k-fold and combinatorial purged cross-validation: Lopez de Prado, chapters 7 and 12."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.validation.failures import BadSplitSettings
from quant_pipelines.validation.purging import purge
from quant_pipelines.validation.spans import LabelSpans, Places
from quant_pipelines.validation.splits import Split, Splits, Status, insufficient, require_at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinatorialPurged:
    """The sessions in `groups` of equal length; every choice of `test_groups` of them is tested once."""

    groups: int
    test_groups: int
    embargo_sessions: int

    def __post_init__(self) -> None:
        require_at_least(0, embargo_sessions=self.embargo_sessions)
        if not 1 <= self.test_groups < self.groups:
            raise BadSplitSettings(
                f"{self.test_groups} of {self.groups} groups cannot be tested: at least one is, and one is left."
            )

    @property
    def choices(self) -> tuple[tuple[int, ...], ...]:
        """The tested groups of each split."""
        return tuple(combinations(range(self.groups), self.test_groups))

    @property
    def paths(self) -> NDArray[np.int64]:
        """One row per path through all sessions: the split that tests each group. Every split and group is used once.

        There are test_groups / groups x C(groups, test_groups): 5 for 2 of 6.
        """
        choices = list(enumerate(self.choices))
        tested = [[split for split, choice in choices if group in choice] for group in range(self.groups)]
        return np.array(tested, np.int64).T

    def group_of(self, spans: LabelSpans) -> Places:
        """The group of each row. Where sessions do not divide evenly, the first groups are one longer."""
        sizes = [len(part) for part in np.array_split(spans.sessions, self.groups)]
        return np.repeat(np.arange(self.groups), sizes)[np.searchsorted(spans.sessions, spans.session)]

    def split(self, spans: LabelSpans) -> Splits:
        """One split per choice of groups, in the order of `choices`."""
        if spans.sessions.size < self.groups:
            return insufficient(f"{spans.sessions.size} sessions have labels; {self.groups} groups need one each.")
        group = self.group_of(spans)
        splits = tuple(self._split(spans, np.isin(range(self.groups), choice)[group]) for choice in self.choices)
        if any(each.train.size == 0 for each in splits):
            return insufficient(
                f"{spans.sessions.size} sessions in {self.groups} groups: spans of {spans.gap_sessions} sessions and "
                f"an embargo of {self.embargo_sessions} leave nothing to train on."
            )
        return Splits(status=Status.OK, splits=splits)

    def _split(self, spans: LabelSpans, tested: NDArray[np.bool_]) -> Split:
        test = np.flatnonzero(tested)
        train = purge(np.flatnonzero(~tested), test, spans, embargo_sessions=self.embargo_sessions)
        used = tested.copy()
        used[train] = True
        return Split(train=train, test=test, purged=np.flatnonzero(~used))

    def assemble(self, scores: Sequence[NDArray[np.float64]], spans: LabelSpans) -> NDArray[np.float64]:
        """Paths x rows from the scores of each split's test rows: every path scores every row once."""
        splits = self.split(spans).splits
        found, expected = [each.size for each in scores], [each.test.size for each in splits]
        if found != expected:
            raise BadSplitSettings(f"Scores of {found} rows do not fit tests of {expected}: one score per test row.")
        group, paths = self.group_of(spans), self.paths
        out = np.full((len(paths), spans.rows), np.nan)
        for number, (split, values) in enumerate(zip(splits, scores, strict=True)):
            for path, tested in np.argwhere(paths == number):
                chosen = group[split.test] == tested
                out[path, split.test[chosen]] = values[chosen]
        return out


def purged_k_fold(*, folds: int, embargo_sessions: int) -> CombinatorialPurged:
    """Each fold is tested once: the case of one test group, with a single path."""
    return CombinatorialPurged(groups=folds, test_groups=1, embargo_sessions=embargo_sessions)
