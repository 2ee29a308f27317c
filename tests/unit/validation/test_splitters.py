"""What holds for every splitter, and what each one promises."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.validation import (
    BadSplitSettings,
    CombinatorialPurged,
    LabelSpans,
    Status,
    WalkForward,
    purged_k_fold,
)
from tests.spans import panels

walks = st.builds(
    WalkForward, train_sessions=st.integers(1, 20), test_sessions=st.integers(1, 12), expanding=st.booleans()
)
folds = st.builds(purged_k_fold, folds=st.integers(2, 6), embargo_sessions=st.integers(0, 5))
choices = st.integers(2, 6).flatmap(
    lambda groups: st.builds(
        CombinatorialPurged,
        groups=st.just(groups),
        test_groups=st.integers(1, groups - 1),
        embargo_sessions=st.integers(0, 5),
    )
)
splitters = st.one_of(walks, folds, choices)


@given(splitters, panels())
def test_train_and_test_never_overlap(overlap, splitter, spans):
    for split in splitter.split(spans).splits:
        assert split.train.size
        assert split.test.size
        assert overlap(spans, split.train, split.test) == []
        assert not np.intersect1d(split.train, split.purged).size
        assert not set(spans.session[split.train]) & set(spans.session[split.test])


@given(splitters, panels(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_change_a_split(splitter, spans, chance):
    order = list(range(spans.rows))
    chance.shuffle(order)
    rows = np.array(order, np.int64)
    shuffled = splitter.split(LabelSpans(spans.session[rows], spans.opens[rows], spans.resolves[rows]))
    original = splitter.split(spans)
    assert (shuffled.status, shuffled.reason) == (original.status, original.reason)
    for one, other in zip(original.splits, shuffled.splits, strict=True):
        for name in ("train", "test", "purged"):
            np.testing.assert_array_equal(getattr(one, name), np.sort(rows[getattr(other, name)]))


@given(splitters, panels())
def test_no_splits_have_a_reason_and_splits_have_none(splitter, spans):
    result = splitter.split(spans)
    assert (result.status is Status.OK) == bool(result.splits) == (not result.reason)


@given(folds, panels())
def test_k_fold_tests_every_row_once(splitter, spans):
    result = splitter.split(spans)
    if result.splits:
        np.testing.assert_array_equal(np.sort(np.concatenate([each.test for each in result.splits])), range(spans.rows))
        for split in result.splits:
            parts = np.concatenate([split.train, split.test, split.purged])
            np.testing.assert_array_equal(np.sort(parts), range(spans.rows))


@given(walks, panels())
def test_walk_forward_trains_on_the_past_only_and_tests_the_rest_once(splitter, spans):
    result = splitter.split(spans)
    last = -1
    for split in result.splits:
        assert spans.resolves[split.train].max() < spans.session[split.test].min()
        assert spans.session[split.test].min() > last
        last = spans.session[split.test].max()
        trained = np.unique(spans.session[split.train]).size
        assert trained >= splitter.train_sessions if splitter.expanding else trained == splitter.train_sessions
    if result.splits:
        tested = np.concatenate([each.test for each in result.splits])
        first = spans.session[result.splits[0].test].min()
        np.testing.assert_array_equal(np.sort(tested), np.flatnonzero(spans.session >= first))


@given(choices)
def test_paths_use_every_test_of_every_split_once(splitter):
    paths = splitter.paths
    number = comb(splitter.groups, splitter.test_groups)
    assert paths.shape == (number * splitter.test_groups // splitter.groups, splitter.groups)
    used = sorted((int(split), group) for path in paths for group, split in enumerate(path))
    assert used == sorted((split, group) for split, choice in enumerate(splitter.choices) for group in choice)


def test_two_of_six_groups_make_15_splits_and_5_paths(daily):
    splitter = CombinatorialPurged(groups=6, test_groups=2, embargo_sessions=1)
    result = splitter.split(daily(120, symbols=2))
    assert (len(result.splits), len(splitter.paths)) == (15, 5)


@given(choices, panels())
def test_assembled_paths_hold_each_split_s_score_of_each_row(splitter, spans):
    """A score that names its split and row: every path scores every row, with a split that tested it."""
    result = splitter.split(spans)
    if not result.splits:
        return
    scores = [1000.0 * number + each.test for number, each in enumerate(result.splits)]
    paths = splitter.assemble(scores, spans)
    split, row = np.divmod(paths, 1000)
    np.testing.assert_array_equal(row, np.tile(np.arange(spans.rows), (len(paths), 1)))
    for column in range(spans.rows):
        testing = [number for number, each in enumerate(result.splits) if column in each.test]
        assert sorted(split[:, column]) == testing


def test_scores_that_do_not_fit_the_tests_are_refused(daily):
    splitter, spans = purged_k_fold(folds=3, embargo_sessions=0), daily(30)
    with pytest.raises(BadSplitSettings, match="one score per test row"):
        splitter.assemble([np.zeros(10), np.zeros(10), np.zeros(9)], spans)
    assert splitter.assemble([np.zeros(10)] * 3, spans).shape == (1, 30)  # control


@pytest.mark.parametrize(
    ("splitter", "enough"),
    [
        (WalkForward(train_sessions=20, test_sessions=5, expanding=False), 20 + 5 + 1),
        (purged_k_fold(folds=4, embargo_sessions=0), 40),
    ],
)
def test_too_few_sessions_are_a_status_and_no_error(daily, splitter, enough):
    assert splitter.split(daily(enough, resolves_after=5)).status is Status.OK
    for sessions in (0, 1, 3):
        result = splitter.split(daily(sessions, resolves_after=5))
        assert (result.status, result.splits) == (Status.INSUFFICIENT_OBSERVATION, ())
        assert f"{sessions} sessions have labels" in result.reason


def test_spans_that_reach_over_everything_leave_nothing_to_train_on(daily):
    result = purged_k_fold(folds=2, embargo_sessions=0).split(daily(10, resolves_after=20))
    assert result.status is Status.INSUFFICIENT_OBSERVATION
    assert "nothing to train on" in result.reason


def test_the_last_block_is_kept_though_it_is_shorter(daily):
    result = WalkForward(train_sessions=10, test_sessions=6, expanding=True).split(daily(30))
    assert [each.test.size for each in result.splits] == [6, 6, 6, 1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: WalkForward(train_sessions=0, test_sessions=5, expanding=True),
        lambda: WalkForward(train_sessions=5, test_sessions=0, expanding=True),
        lambda: CombinatorialPurged(groups=5, test_groups=5, embargo_sessions=0),
        lambda: CombinatorialPurged(groups=5, test_groups=0, embargo_sessions=0),
        lambda: purged_k_fold(folds=1, embargo_sessions=0),
        lambda: purged_k_fold(folds=5, embargo_sessions=-1),
    ],
)
def test_settings_without_a_meaning_are_refused(make):
    with pytest.raises(BadSplitSettings):
        make()
