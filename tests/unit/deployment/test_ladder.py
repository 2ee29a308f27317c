"""The ladder: what comes next, and why (S1-02, S1-03, S1-43, X-25, X-42, X-47)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.deployment import Live, Observation, Placed, Ref, next_step, stages
from quant_pipelines.deployment.ladder import window_failed
from quant_pipelines.strategies import Deployment
from tests.rollouts import day, observed

POLICY = Deployment()
CHAMPION = Placed(version=Ref(number=1, id="a"), stage=100, since=day(0), row=1, decision="x")


def live(stage: int, *, previous: bool = True) -> Live:
    """A candidate at this stage since session 0; at 100 it is the champion."""
    placed = CHAMPION.model_copy(update={"version": Ref(number=2, id="b"), "stage": stage})
    if stage == 100:
        return Live(model="m", number=1, champion=placed, earlier=(CHAMPION,) if previous else ())
    where = {"canary": placed} if stage else {"shadows": (placed,)}
    return Live(model="m", number=1, champion=CHAMPION, **where)


GOOD, BAD, SAME = [0.1] * 5, [-0.1] * 5, [0.0] * 5


@pytest.mark.parametrize(
    ("stage", "gains", "doing", "why", "to"),
    [
        (0, GOOD, "step", "soaked", 10),
        (10, SAME, "step", "soaked", 30),
        (30, GOOD, "step", "soaked", 100),
        (100, GOOD, "skip", "already_max_stage", None),
        (10, [], "hold", "soaking", None),
        (10, GOOD[:4], "hold", "soaking", None),
        (10, [*GOOD[:4], None], "hold", "insufficient_observation", None),
        (10, [None] * 20, "hold", "insufficient_observation", None),
        (10, [*GOOD[:4], None, 0.1], "step", "soaked", 30),
        (10, BAD, "hold", "failed_window", None),
        (10, BAD + [None] * 9, "hold", "failed_window", None),
        (10, BAD + GOOD[:4], "hold", "failed_window", None),
        (10, BAD + GOOD, "step", "soaked", 30),
        (10, BAD + BAD, "roll_back", "windows_failed", None),
        (0, BAD + BAD, "roll_back", "windows_failed", None),
        (100, BAD + BAD, "roll_back", "windows_failed", None),
        (100, BAD, "skip", "already_max_stage", None),
        (10, [math.nan] * 10, "hold", "insufficient_observation", None),
        (10, [-0.1, 0.1, -0.1, 0.1, -0.05], "step", "soaked", 30),
    ],
)  # fmt: skip
def test_what_comes_next(stage, gains, doing, why, to):
    found = next_step(live(stage), observed(*gains), POLICY)
    assert (found.doing, found.why, found.to_stage) == (doing, why, to), found.text
    assert found.version == Ref(number=2, id="b")


def test_a_roll_back_says_how_many_windows_failed_and_which_rule_asked():
    found = next_step(live(30), observed(*GOOD, *BAD, *BAD), POLICY)
    assert (found.windows_failed, found.trigger_rule) == (2, "failed_windows")
    assert found.text == "Windows of 5 sessions that failed one after the other: 2; enough to end it: 2."


def test_where_nothing_came_before_there_is_nothing_to_go_back_to():
    assert next_step(live(100, previous=False), observed(*BAD, *BAD), POLICY).why == "already_max_stage"
    assert next_step(Live(model="m"), [], POLICY).why == "nothing_live"


def test_what_was_seen_before_the_stage_began_does_not_count():
    placed = live(10).canary.model_copy(update={"since": day(10)})
    there = live(10).model_copy(update={"canary": placed})
    assert next_step(there, observed(*BAD, *BAD), POLICY).why == "soaking"
    assert next_step(there, observed(*BAD, *BAD, *GOOD), POLICY).why == "soaked"


def test_people_are_asked_when_the_sessions_have_gone_by():
    policy = POLICY.model_copy(update={"approvals": 2, "approvals_from_stage": 30})
    assert next_step(live(0), observed(*GOOD), policy).to_stage == 10, "below that stage nobody is asked"
    assert next_step(live(10), observed(*GOOD), policy, approvals=1).why == "needs_approval"
    assert next_step(live(10), observed(*GOOD), policy, approvals=2).to_stage == 30


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, (0, 10, 30, 100)), ({"ladder": (100,)}, (0, 100)), ({"ladder": (100,), "shadow_sessions": 0}, (100,))],
)
def test_the_stages_are_shadow_and_then_the_ladder(changes, expected):
    assert stages(POLICY.model_copy(update=changes)) == expected


GAINS = st.lists(st.none() | st.floats(-1, 1) | st.sampled_from([-0.1, 0.1]), max_size=40)


@given(st.sampled_from([0, 10, 30, 100]), GAINS, st.integers(1, 3), st.integers(2, 6))
def test_it_goes_up_one_stage_at_most_and_only_on_what_was_seen(stage, gains, most, window):
    policy = POLICY.model_copy(update={"rollback_after_failed_windows": most, "window_sessions": window})
    found = next_step(live(stage), observed(*gains), policy)
    known = [each for each in gains if each is not None]
    assert found.observed_sessions == len(known)
    if found.doing == "step":
        assert found.to_stage == (10, 30, 100)[(0, 10, 30).index(stage)]
        assert len(known) >= 5
    if found.doing == "roll_back":
        last = [known[at : at + window] for at in range(0, len(known) - window + 1, window)][-most:]
        assert len(last) == most
        assert all(sum(each) < 0 for each in last)
    assert (found.windows_failed >= most) == (found.doing == "roll_back")


@given(GAINS, st.randoms())
def test_neither_order_nor_what_was_not_seen_changes_the_answer(gains, chance):
    """X-42: a session without a number is no evidence; it never makes a step or a roll-back out of a hold."""
    shuffled = observed(*gains)
    chance.shuffle(shuffled)
    assert next_step(live(10), shuffled, POLICY) == next_step(live(10), observed(*gains), POLICY)
    without = next_step(live(10), observed(*(each for each in gains if each is not None)), POLICY)
    assert next_step(live(10), observed(*gains), POLICY).doing == without.doing


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=10), st.floats(0.001, 1))
def test_a_window_fails_when_it_was_worse_by_more_than_its_own_noise(gains, less):
    worse = [each - less for each in gains]
    assert not window_failed(gains, POLICY) or window_failed(worse, POLICY), "what is worse in every session fails too"
    assert not window_failed([abs(each) for each in gains], POLICY)


def test_the_last_word_on_a_session_counts():
    twice = [*observed(*BAD), *observed(*GOOD)]
    assert next_step(live(10), twice, POLICY).doing == "step"
    assert Observation(session=day(1), candidate=math.inf, champion=1.0).gain is None
