"""Whatever is asked of a rollout, in whatever order: the record, the state and the store tell one story."""

import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from quant_pipelines.deployment import Live, live_now, moves, next_step, stages
from quant_pipelines.deployment.failures import (
    CannotServe,
    NotDeployable,
    NothingToRollBack,
    RolloutUnderway,
    StaleDecision,
)
from quant_pipelines.deployment.live import after
from quant_pipelines.registry import TRANSITIONS
from tests.rollouts import QUICK, Remembered, Rollouts, day, journal_in, observed
from tests.stored import MODEL

POLICIES = [QUICK, QUICK.model_copy(update={"shadow_sessions": 0}), QUICK.model_copy(update={"ladder": (100,)})]
REFUSED = (CannotServe, NotDeployable, NothingToRollBack, RolloutUnderway, StaleDecision)


class AnyRollout(RuleBasedStateMachine):
    """One model, moved about by somebody who asks for anything."""

    empty: Path
    folders: Path

    @initialize()
    def begin(self):
        folder = self.folders / str(sum(1 for _ in self.folders.iterdir()))
        shutil.copytree(self.empty, folder)
        self.rollouts = Rollouts(journal_in(folder), Remembered())
        self.made = []
        self.session = 0
        self.damaged: set[int] = set()

    @rule(policy=st.sampled_from(POLICIES))
    def train(self, policy):
        champion = live_now(self.rollouts.journal, MODEL).champion
        against = None if champion is None else self.rollouts.store.version(MODEL, champion.version.number)
        self.made.append(self.rollouts.candidate(f"training-{len(self.made)}", champion=against, policy=policy))

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def deploy(self, data):
        decision = data.draw(st.sampled_from(self.made[-3:]))
        self.attempt(lambda: self.rollouts.switch.deploy(decision, session=self.next_session()))

    @rule(gain=st.sampled_from([0.1, 0.1, -0.1, None]), count=st.integers(0, 4), policy=st.sampled_from(POLICIES))
    def step(self, gain, count, policy):
        before = live_now(self.rollouts.journal, MODEL)
        found = observed(*[gain] * count, after=self.session)
        expected = next_step(before, found, policy)
        self.session += count
        self.attempt(lambda: self.rollouts.switch.step(MODEL, found, policy, session=day(self.session)))
        now = live_now(self.rollouts.journal, MODEL)
        if expected.doing in ("hold", "skip"):
            assert now == before

    @rule()
    def roll_back(self):
        before = live_now(self.rollouts.journal, MODEL)
        done = self.attempt(
            lambda: self.rollouts.switch.roll_back(MODEL, session=self.next_session(), reason="somebody wants it")
        )
        now = live_now(self.rollouts.journal, MODEL)
        if done and not before.candidates:
            assert now.champion.version == before.previous.version

    @precondition(lambda self: self.rollouts.store.kept)
    @rule(data=st.data())
    def tamper(self, data):
        number = data.draw(st.sampled_from(sorted(self.rollouts.store.kept)))
        self.rollouts.store.tamper(number)
        self.damaged ^= {number}

    @invariant()
    def the_store_says_what_the_record_says(self):
        live = live_now(self.rollouts.journal, MODEL)
        champion = self.rollouts.champion()
        assert (champion and champion.id) == (live.champion and live.champion.version.id)
        states = self.rollouts.states()
        assert [number for number, state in states.items() if state == "deployed"] == (
            [] if live.champion is None else [live.champion.version.number]
        )
        assert {number for number, state in states.items() if state == "canary"} == {
            each.version.number for each in live.candidates
        }

    @invariant()
    def every_status_change_is_one_of_the_table(self):
        """S2-98, X-12."""
        for version in self.rollouts.store.versions(MODEL):
            steps = [each.state for each in version.history]
            assert all(after in TRANSITIONS[before] for before, after in pairwise(steps))

    @invariant()
    def the_state_is_made_of_the_rows_alone(self):
        live = Live(model=MODEL)
        for row, rolled in moves(self.rollouts.journal, MODEL):
            live = after(live, row)
            assert rolled.stage in {0, *stages(POLICIES[0])}
        assert live == live_now(self.rollouts.journal, MODEL)

    def attempt(self, act) -> bool:
        """Refusals change nothing; and nothing goes live whose bytes were changed."""
        before = live_now(self.rollouts.journal, MODEL)
        try:
            act()
        except REFUSED:
            assert live_now(self.rollouts.journal, MODEL) == before
            return False
        now = live_now(self.rollouts.journal, MODEL)
        if now.number > before.number and now.champion is not None:
            went = now.champion.version != (before.champion and before.champion.version)
            assert not (went and now.champion.version.number in self.damaged)
        return True

    def next_session(self):
        self.session += 1
        return day(self.session)


def run(empty_journal: Path, folders: Path, *, examples: int) -> None:
    machine = type("Machine", (AnyRollout,), {"empty": empty_journal, "folders": folders})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=15))


def test_whatever_is_asked_the_record_and_the_store_tell_one_story(empty_journal, tmp_path):
    run(empty_journal, tmp_path, examples=12)


@pytest.mark.nightly
def test_whatever_is_asked_many_times_the_record_and_the_store_tell_one_story(empty_journal, tmp_path):
    run(empty_journal, tmp_path, examples=300)
