"""Purge and embargo against pairwise definitions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.validation import LabelSpans, overlapping, purge
from tests.spans import panels


@st.composite
def two_sides(draw):
    """A panel, some of its rows to test on, and the others."""
    spans = draw(panels())
    tested = np.array(draw(st.lists(st.booleans(), min_size=spans.rows, max_size=spans.rows)), bool)
    return spans, np.flatnonzero(~tested), np.flatnonzero(tested)


def barred_slowly(spans, train, test, embargo):
    """Rows that touch a session of a test span or one of the embargo after it."""
    covered = {session for row in test for session in range(spans.opens[row], spans.resolves[row] + 1)}
    covered |= {spans.resolves[row] + after for row in test for after in range(1, embargo + 1)}
    return [row for row in train if covered & set(range(spans.opens[row], spans.resolves[row] + 1))]


@given(two_sides())
def test_purging_leaves_no_overlap_and_takes_no_more(overlap, drawn):
    spans, train, test = drawn
    kept = purge(train, test, spans, embargo_sessions=0)
    assert overlap(spans, kept, test) == []
    assert overlapping(kept, test, spans).size == 0
    gone = {row for row, _ in overlap(spans, train, test)}
    assert set(train) - set(kept) == gone == set(overlapping(train, test, spans))


@given(two_sides(), st.integers(0, 8))
def test_purge_and_embargo_agree_with_sets_of_sessions(drawn, embargo):
    spans, train, test = drawn
    kept = purge(train, test, spans, embargo_sessions=embargo)
    assert sorted(set(train) - set(kept)) == barred_slowly(spans, train, test, embargo)


@given(two_sides(), st.integers(0, 8), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(drawn, embargo, chance):
    spans, train, test = drawn
    kept = purge(train, test, spans, embargo_sessions=embargo)
    order = list(range(spans.rows))
    chance.shuffle(order)
    shuffled = LabelSpans(spans.session[order], spans.opens[order], spans.resolves[order])
    place = np.argsort(order)
    again = purge(place[train], place[test], shuffled, embargo_sessions=embargo)
    np.testing.assert_array_equal(np.array(order, np.int64)[again], kept)


def test_two_test_blocks_purge_both_of_their_sides(daily):
    """Five-session labels: five rows before each block, five after it, and two of embargo."""
    spans = daily(60, resolves_after=5)
    test = np.array([20, 21, 40, 41])
    train = np.setdiff1d(np.arange(60), test)
    kept = purge(train, test, spans, embargo_sessions=2)
    assert sorted(set(train) - set(kept)) == [*range(15, 20), *range(22, 29), *range(35, 40), *range(42, 49)]
