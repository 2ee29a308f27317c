"""The life of a version: one table, and nothing beside it (S0-29, X-12)."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from quant_pipelines.registry import TRANSITIONS, State, state_named
from quant_pipelines.registry.failures import IllegalTransition, UnknownState
from quant_pipelines.registry.life_cycle import require_legal
from tests.rollouts import Remembered
from tests.stored import MODEL, packed

# X-12, word by word; and from retired back to deployed, which a rollback takes.
DECIDED = {
    "created": {"training"}, "training": {"validated", "rejected"}, "validated": {"ready"}, "ready": {"canary"},
    "canary": {"deployed", "rolled_back"}, "deployed": {"retired", "rolled_back"},
    "rejected": set(), "retired": {"deployed"}, "rolled_back": set(), "failed": set(),
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
    again = {state for state in life if life.count(state) > 1}
    assert again <= {State.DEPLOYED, State.RETIRED}, "only what was live may be live again"


@given(st.sampled_from(State))
def test_nothing_goes_live_that_was_not_validated(state):
    ways = {state: {each for each in TRANSITIONS if state in TRANSITIONS[each]} for state in State}
    assert ways[State.READY] == {State.VALIDATED}
    assert ways[State.CANARY] == {State.READY}
    assert ways[State.DEPLOYED] == {State.CANARY, State.RETIRED}
    assert ways[State.RETIRED] == {State.DEPLOYED}, "what comes back was live before"
    assert state == State.FAILED or State.FAILED in TRANSITIONS[state]


class Lives(RuleBasedStateMachine):
    """Versions of one model, moved about by somebody who asks for anything.

    Feature: mlops-optimization, Property 3: (req. 3.2): every model status change follows the predefined life-cycle
    rules.
    """

    @initialize()
    def begin(self):
        self.store = Remembered()
        self.expected: dict[int, list[str]] = {}

    @rule()
    def train(self):
        version = self.store.save(packed(training=f"training-{len(self.expected)}"), "run", actor="a test")
        self.expected[version.number] = ["created", "training"]

    @rule(which=st.integers(0, 5), wanted=st.sampled_from(State))
    def move(self, which, wanted):
        if not self.expected:
            return
        number = sorted(self.expected)[which % len(self.expected)]
        life = self.expected[number]
        allowed = DECIDED[life[-1]] | ({"failed"} if life[-1] != "failed" else set())
        if wanted in allowed:
            assert self.store.move(MODEL, number, wanted, actor="a test").state == wanted
            life.append(str(wanted))
        else:
            with pytest.raises(IllegalTransition):
                self.store.move(MODEL, number, wanted, actor="a test")

    @invariant()
    def every_life_is_the_one_that_was_allowed(self):
        found = {each.number: [str(step.state) for step in each.history] for each in self.store.versions(MODEL)}
        assert found == self.expected


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=100, stateful_step_count=30)


def test_a_word_that_is_no_state_is_answered_with_those_there_are():
    assert state_named("deployed") is State.DEPLOYED
    with pytest.raises(UnknownState, match=r"'live' is no state of a model\. There are created, training"):
        state_named("live")
