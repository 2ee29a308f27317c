"""The same splits as skfolio 1.12.2, where both define the same thing.

Its `purged_size` is a number of rows on both sides of a test: that of labels which open at their signal and resolve
so many sessions later. The tables are what it gave: t trained on, T tested, x neither.
"""

import numpy as np
import pytest

from quant_pipelines.validation import CombinatorialPurged, WalkForward

# (sessions, groups, tested groups, span, embargo): one line per split.
COMBINATORIAL = {
    (30, 5, 2, 1, 2): [
        "TTTTTTTTTTTTxxxttttttttttttttt",
        "TTTTTTxxxttxTTTTTTxxxttttttttt",
        "TTTTTTxxxttttttttxTTTTTTxxxttt",
        "TTTTTTxxxttttttttttttttxTTTTTT",
        "tttttxTTTTTTTTTTTTxxxttttttttt",
        "tttttxTTTTTTxxxttxTTTTTTxxxttt",
        "tttttxTTTTTTxxxttttttttxTTTTTT",
        "tttttttttttxTTTTTTTTTTTTxxxttt",
        "tttttttttttxTTTTTTxxxttxTTTTTT",
        "tttttttttttttttttxTTTTTTTTTTTT",
    ],
    (24, 4, 2, 2, 0): [
        "TTTTTTTTTTTTxxtttttttttt",
        "TTTTTTxxttxxTTTTTTxxtttt",
        "TTTTTTxxttttttttxxTTTTTT",
        "ttttxxTTTTTTTTTTTTxxtttt",
        "ttttxxTTTTTTxxttxxTTTTTT",
        "ttttttttttxxTTTTTTTTTTTT",
    ],
    (45, 3, 2, 5, 3): [
        "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTxxxxxxxxttttttt",
        "TTTTTTTTTTTTTTTxxxxxxxxttxxxxxTTTTTTTTTTTTTTT",
        "ttttttttttxxxxxTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT",
    ],
}
# recombined_paths of CombinatorialPurgedCV(n_folds=6, n_test_folds=2): one line per group, the split of each path.
PATHS = [
    [0, 1, 2, 3, 4],
    [0, 5, 6, 7, 8],
    [1, 5, 9, 10, 11],
    [2, 6, 9, 12, 13],
    [3, 7, 10, 12, 14],
    [4, 8, 11, 13, 14],
]
# (sessions, train, test, span, expanding): first and last session of each training window and test, reduce_test=True.
WALKS = {
    (20, 6, 4, 1, False): [((0, 5), (7, 10)), ((4, 9), (11, 14)), ((8, 13), (15, 18)), ((12, 17), (19, 19))],
    (20, 6, 4, 1, True): [((0, 5), (7, 10)), ((0, 9), (11, 14)), ((0, 13), (15, 18)), ((0, 17), (19, 19))],
    (23, 8, 5, 2, False): [((0, 7), (10, 14)), ((5, 12), (15, 19)), ((10, 17), (20, 22))],
    (23, 8, 5, 5, True): [((0, 7), (13, 17)), ((0, 12), (18, 22))],
}


@pytest.mark.parametrize("case", COMBINATORIAL, ids=str)
def test_combinatorial_splits_are_the_same(daily, case):
    sessions, groups, tested, span, embargo = case
    splitter = CombinatorialPurged(groups=groups, test_groups=tested, embargo_sessions=embargo)
    lines = []
    for split in splitter.split(daily(sessions, resolves_after=span)).splits:
        line = np.full(sessions, "?")
        line[split.train], line[split.test], line[split.purged] = "t", "T", "x"
        lines.append("".join(line))
    assert lines == COMBINATORIAL[case]


def test_paths_are_the_same():
    splitter = CombinatorialPurged(groups=6, test_groups=2, embargo_sessions=0)
    np.testing.assert_array_equal(splitter.paths.T, PATHS)


@pytest.mark.parametrize("case", WALKS, ids=str)
def test_walk_forward_splits_are_the_same(daily, case):
    sessions, train, test, span, expanding = case
    splitter = WalkForward(train_sessions=train, test_sessions=test, expanding=expanding)
    found = [
        tuple((int(part[0]), int(part[-1])) for part in (split.train, split.test))
        for split in splitter.split(daily(sessions, resolves_after=span)).splits
    ]
    assert found == WALKS[case]
