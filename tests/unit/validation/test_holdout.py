"""The holdout: its size, its place, and what too few sessions mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.validation import BadSplitSettings, Holdout, Status, holdout_sessions
from tests.spans import panels

FIFTH = Holdout(validation_share=0.2)


@pytest.mark.parametrize(
    ("sessions", "held"), [(0, 10), (9, 10), (30, 10), (32, 10), (33, 11), (197, 65), (198, 66), (5000, 66)]
)
def test_the_size_is_the_user_s_formula(sessions, held):
    assert holdout_sessions(sessions) == held


@given(panels(most_sessions=400), st.sampled_from([0.1, 0.2, 0.5]))
def test_small_panels_are_a_status(spans, share):
    """Ninety rows at most are never enough for every part."""
    result = Holdout(validation_share=share).split(spans)
    if result.status is Status.OK:
        return
    assert "the least" in result.reason
    assert result.train.size == result.validation.size == result.holdout.size == 0


@given(st.tuples(st.integers(0, 400), st.integers(1, 3), st.integers(0, 2), st.integers(1, 8), st.floats(0.05, 0.6)))
def test_parts_follow_each_other_with_a_gap_and_never_overlap(daily, overlap, drawn):
    sessions, symbols, after, length, share = drawn
    spans = daily(sessions, symbols=symbols, opens_after=after, resolves_after=after + length)
    result = Holdout(validation_share=share).split(spans)
    if result.status is not Status.OK:
        return
    parts = [result.train, result.validation, result.holdout]
    signalled = [np.unique(spans.session[part]) for part in parts]
    assert signalled[2].size == holdout_sessions(sessions)
    assert signalled[2][-1] == sessions - 1
    assert signalled[1].size >= 20
    assert signalled[0].size >= 40
    for earlier, later in ((0, 1), (1, 2)):
        assert signalled[later][0] - signalled[earlier][-1] == spans.gap_sessions + 1
        assert overlap(spans, parts[earlier][-symbols:], parts[later][:symbols]) == []
        assert spans.resolves[parts[earlier]].max() < spans.session[parts[later]].min()
    np.testing.assert_array_equal(np.sort(np.concatenate([*parts, result.gaps])), range(spans.rows))


def test_one_session_less_than_enough_is_insufficient_and_no_error(daily):
    """n - n // 3 sessions remain before the holdout; a gap, 20, a gap and 40 must fit into them."""
    enough = 104
    assert enough - enough // 3 == 5 + 20 + 5 + 40
    assert FIFTH.split(daily(enough, resolves_after=5)).status is Status.OK
    result = FIFTH.split(daily(enough - 1, resolves_after=5))
    assert result.status is Status.INSUFFICIENT_OBSERVATION
    assert "34 of holdout, 20 of validation and 39 of training" in result.reason


@pytest.mark.parametrize("sessions", [0, 1, 9, 10, 70])
def test_very_few_sessions_fail_cleanly(daily, sessions):
    assert FIFTH.split(daily(sessions)).status is Status.INSUFFICIENT_OBSERVATION


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_without_a_meaning_is_refused(share):
    with pytest.raises(BadSplitSettings):
        Holdout(validation_share=share)
