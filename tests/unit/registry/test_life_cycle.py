"""The life of a version: one table, and nothing beside it (S0-29, X-12)."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.registry import TRANSITIONS, State, state_named
from quant_pipelines.registry.failures import IllegalTransition, UnknownState
from quant_pipelines.registry.life_cycle import require_legal

# X-12, word by word.
DECIDED = {
    "created": {"training"}, "training": {"validated", "rejected"}, "validated": {"ready"}, "ready": {"canary"},
    "canary": {"deployed", "rolled_back"}, "deployed": {"retired", "rolled_back"},
    "rejected": set(), "retired": set(), "rolled_back": set(), "failed": set(),
}  # fmt: skip


def test_the_table_is_the_one_that_was_decided():
    expected = {state: ways | ({"failed"} if state != "failed" else set()) for state, ways in DECIDED.items()}
    assert {state: set(ways) for state, ways in TRANSITIONS.items()} == expected
    assert set(TRANSITIONS) == set(State)


@given(st.lists(st.sampled_from(State), max_size=12))
def test_whatever_is_asked_a_life_goes_only_along_the_table(wanted):
    life = [State.CREATED]
    for state in wanted:
        if state in TRANSITIONS[life[-1]]:
            require_legal(life[-1], state)
            life.append(state)
            continue
        with pytest.raises(IllegalTransition) as refused:
            require_legal(life[-1], state)
        assert all(way in str(refused.value) for way in TRANSITIONS[life[-1]])
    assert all(after in TRANSITIONS[before] for before, after in pairwise(life))
    assert len(set(life)) == len(life), "no state comes twice, so every life ends"


@given(st.sampled_from(State))
def test_nothing_goes_live_that_was_not_validated(state):
    ways = {state: {each for each in TRANSITIONS if state in TRANSITIONS[each]} for state in State}
    assert ways[State.READY] == {State.VALIDATED}
    assert ways[State.CANARY] == {State.READY}
    assert ways[State.DEPLOYED] == {State.CANARY}
    assert state == State.FAILED or State.FAILED in TRANSITIONS[state]


def test_a_word_that_is_no_state_is_answered_with_those_there_are():
    assert state_named("deployed") is State.DEPLOYED
    with pytest.raises(UnknownState, match=r"'live' is no state of a model\. There are created, training"):
        state_named("live")
