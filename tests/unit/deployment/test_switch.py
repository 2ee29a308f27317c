"""Moving what is live: one row is the moment, and everything else follows it (S2-85, S2-86, X-25)."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, text

from quant_pipelines.deployment import (
    HELD,
    Checks,
    Projection,
    Switch,
    approve,
    cited,
    decide,
    forecasts,
    live_at,
    live_now,
    live_on,
    moves,
    record,
    recorded,
    routes,
)
from quant_pipelines.deployment.failures import (
    ApprovalMissing,
    ApproverRefused,
    CannotServe,
    Incompatible,
    JournalUntrusted,
    NotDeployable,
    NothingToRollBack,
    RolloutRaced,
    RolloutUnderway,
    RolloutUnreadable,
    SessionPassed,
    StaleDecision,
    Unhealthy,
)
from quant_pipelines.deployment.live import ROLLOUT, Ref, Rolled
from quant_pipelines.journal import Entry, JournalDamaged
from quant_pipelines.strategies import Deployment
from tests.judged import evidence, gain, seen
from tests.rollouts import AT, QUICK, Remembered, Rollouts, Ticking, day, observed
from tests.stored import MODEL, Kept, packed

SYMBOLS = [f"{number:06d}.SZ" for number in range(500)]


def climb(rollouts: Rollouts) -> list[int]:
    """Step after step, two good sessions each, until nothing is left to climb."""
    seen_stages, number = [], 10
    while live_now(rollouts.journal, MODEL).candidates:
        taken = rollouts.switch.step(MODEL, observed(0.1, 0.1, after=number), QUICK, session=day(number + 2))
        assert taken.step.doing == "step", taken.step
        seen_stages.append(taken.step.to_stage)
        number += 2
    return seen_stages


def test_a_candidate_climbs_from_shadow_to_everybody_and_the_store_follows(rollouts):
    [first] = rollouts.deployed("one")
    assert rollouts.states() == {1: "deployed"}
    decision = rollouts.candidate("two", champion=rollouts.champion())
    live = rollouts.switch.deploy(decision, session=day(10))
    assert ([each.version.number for each in live.shadows], live.champion.version.number) == ([2], 1)
    assert rollouts.states() == {1: "deployed", 2: "canary"}
    assert set(routes(live, SYMBOLS).values()) == {live.champion.version}, "a shadow serves nobody"
    assert rollouts.store.version(MODEL, "candidate").number == 2
    assert climb(rollouts) == [10, 30, 100]
    live = live_now(rollouts.journal, MODEL)
    assert (live.champion.version.number, live.previous.version.number, live.candidates) == (2, 1, ())
    assert rollouts.states() == {1: "retired", 2: "deployed"}
    assert (rollouts.champion().number, rollouts.store.aliases) == (2, {"champion": 2})
    assert [each.stage for _, each in moves(rollouts.journal, MODEL)] == [100, 0, 10, 30, 100]
    assert moves(rollouts.journal, MODEL)[0][1].decision == first.id


def test_the_store_on_mlflow_follows_too(on_mlflow):
    runs = Kept(on_mlflow.store._mlflow.place)
    one = on_mlflow.candidate("one", run_id=runs.run())
    on_mlflow.switch.deploy(one, session=day(0))
    two = on_mlflow.candidate("two", champion=on_mlflow.champion(), run_id=runs.run())
    on_mlflow.switch.deploy(two, session=day(10))
    assert climb(on_mlflow) == [10, 30, 100]
    assert (on_mlflow.champion().number, on_mlflow.states()) == (2, {1: "retired", 2: "deployed"})
    on_mlflow.switch.roll_back(MODEL, session=day(20), reason="a person has seen something")
    assert (on_mlflow.champion().number, on_mlflow.states()) == (1, {1: "deployed", 2: "rolled_back"})
    assert on_mlflow.switch.reconcile(MODEL) == ()


def test_blue_green_is_the_ladder_of_one_step(rollouts):
    """S2-85, X-25: shadow, then everybody at once."""
    policy = QUICK.model_copy(update={"ladder": (100,)})
    rollouts.deployed("one")
    rollouts.switch.deploy(rollouts.candidate("two", champion=rollouts.champion(), policy=policy), session=day(10))
    taken = rollouts.switch.step(MODEL, observed(0.1, 0.1, after=10), policy, session=day(12))
    assert (taken.step.to_stage, taken.live.champion.version.number) == (100, 2)


def test_failed_windows_take_a_canary_away_and_the_record_says_what_asked_for_it(rollouts):
    """S1-43."""
    rollouts.deployed("one")
    rollouts.switch.deploy(rollouts.candidate("two", champion=rollouts.champion()), session=day(10))
    bad = observed(-0.2, -0.2, -0.2, -0.2, after=10)
    assert rollouts.switch.step(MODEL, bad[:2], QUICK, session=day(12)).step.why == "failed_window"
    taken = rollouts.switch.step(MODEL, bad, QUICK, session=day(14))
    assert (taken.step.windows_failed, taken.step.trigger_rule) == (2, "failed_windows")
    rolled = moves(rollouts.journal, MODEL)[-1][1]
    assert (rolled.windows_failed, rolled.trigger_rule, rolled.back_to.number) == (2, "failed_windows", 1)
    assert (taken.live.candidates, rollouts.states()) == ((), {1: "deployed", 2: "rolled_back"})


def test_a_rolled_back_champion_gives_its_place_to_the_one_before_again_and_again(rollouts):
    rollouts.deployed("one", "two", "three")
    assert rollouts.champion().number == 3
    for left, states in ((2, ["retired", "deployed", "rolled_back"]), (1, ["deployed", "rolled_back", "rolled_back"])):
        live = rollouts.switch.roll_back(MODEL, session=day(10 - left), reason="a person has seen something")
        assert (live.champion.version.number, rollouts.champion().number) == (left, left)
        assert list(rollouts.states().values()) == states
    assert moves(rollouts.journal, MODEL)[-1][1].trigger_rule == "by_hand"
    with pytest.raises(NothingToRollBack, match="version 1 is the first one"):
        rollouts.switch.roll_back(MODEL, session=day(20), reason="once more")
    rollouts.deployed("four", after=20)
    assert rollouts.champion().number == 4


def test_at_everybody_the_step_is_skipped_and_the_reason_is_on_record_once(rollouts):
    """S1-03."""
    rollouts.deployed("one")
    for _ in range(2):
        taken = rollouts.switch.step(MODEL, [], QUICK, session=day(3))
        assert (taken.step.doing, taken.step.why) == ("skip", "already_max_stage")
    [row] = rollouts.journal.rows(kind="rollout_held")
    assert HELD.of(row).step.why == "already_max_stage"


def test_doing_it_again_changes_nothing(rollouts):
    [decision] = rollouts.deployed("one")
    head = rollouts.journal.head()
    assert rollouts.switch.deploy(decision, session=day(5)) == live_now(rollouts.journal, MODEL)
    assert rollouts.switch.reconcile(MODEL) == ()
    assert rollouts.journal.head() == head


def test_a_rejected_candidate_is_out_and_a_quarantined_one_stays_open(rollouts):
    """S3-15, S3-74: the decision stays, the version is no candidate any more."""
    rollouts.deployed("one")
    champion = rollouts.champion()
    for training, changes in (("two", {"gains": {"f1": gain(0.0)}}), ("three", {"mse_ratio": gain(0.5)})):
        version = rollouts.store.save(packed(training=training), "run", actor="a test")
        found = evidence(
            market="demo", strategy="candles", champion=seen("1", champion.id),
            candidate=seen(str(version.number), version.id), **changes,
        )  # fmt: skip
        decision = decide(found, QUICK)
        record(rollouts.journal, decision, actor="a test")
        with pytest.raises(NotDeployable, match=decision.verdict):
            rollouts.switch.deploy(decision, session=day(5))
    rollouts.switch.reconcile(MODEL)
    assert rollouts.states() == {1: "deployed", 2: "rejected", 3: "training"}


def test_an_unvalidated_candidate_serves_everybody_at_once(rollouts):
    """S3-16."""
    rollouts.deployed("one")
    policy = QUICK.model_copy(update={"post_training_validation": False})
    rollouts.switch.deploy(rollouts.candidate("two", champion=rollouts.champion(), policy=policy), session=day(5))
    assert rollouts.champion().number == 2


def test_only_what_was_decided_about_todays_champion_goes_live(rollouts):
    rollouts.deployed("one")
    old = rollouts.champion()
    two, three = (rollouts.candidate(name, champion=old) for name in ("two", "three"))
    rollouts.switch.deploy(two, session=day(5))
    assert climb(rollouts) == [10, 30, 100]
    with pytest.raises(StaleDecision, match="version 2 is the champion now"):
        rollouts.switch.deploy(three, session=day(20))
    loose = decide(evidence(market="demo", strategy="candles"), QUICK)
    with pytest.raises(NotDeployable, match="not on record"):
        rollouts.switch.deploy(loose, session=day(20))
    rollouts.switch.roll_back(MODEL, session=day(21), reason="a person has seen something")
    with pytest.raises(NotDeployable, match="taken away"):
        rollouts.switch.deploy(two, session=day(22))


def test_one_candidate_at_a_time_is_on_the_ladder_and_others_wait_in_shadow(rollouts):
    at_ten = QUICK.model_copy(update={"shadow_sessions": 0})
    rollouts.deployed("one")
    champion = rollouts.champion()
    rollouts.switch.deploy(rollouts.candidate("two", champion=champion, policy=at_ten), session=day(5))
    with pytest.raises(RolloutUnderway, match=r"Version 2 of demo\.candles serves 10 percent"):
        rollouts.switch.deploy(rollouts.candidate("three", champion=champion, policy=at_ten), session=day(6))
    live = rollouts.switch.deploy(rollouts.candidate("four", champion=champion), session=day(6))
    assert [(each.version.number, each.stage) for each in live.candidates] == [(2, 10), (4, 0)]
    rollouts.switch.step(MODEL, observed(1, 1, after=5), at_ten, session=day(7))
    live = rollouts.switch.step(MODEL, observed(1, 1, after=7), at_ten, session=day(9)).live
    assert live.candidates == (), "version 4 was compared with a champion that is none any more"
    assert rollouts.states() == {1: "retired", 2: "deployed", 3: "validated", 4: "rolled_back"}


class Meanwhile:
    """Somebody else moves the same model while a switch is at one of its steps."""

    def __init__(self, point: str, act) -> None:
        self.point, self.act = point, act

    def __call__(self, point: str) -> None:
        if point == self.point:
            act, self.act = self.act, lambda: None
            act()


@pytest.mark.parametrize("point", ["verified", "compatible", "applied", "healthy"])
def test_of_a_step_and_a_roll_back_at_once_exactly_one_wins(rollouts, point):
    rollouts.deployed("one")
    rollouts.switch.deploy(rollouts.candidate("two", champion=rollouts.champion()), session=day(10))
    other = Switch(journal=rollouts.journal, store=rollouts.store, actor="another")
    act = Meanwhile(point, lambda: other.roll_back(MODEL, session=day(12), reason="a person has seen something"))
    slow = Switch(journal=rollouts.journal, store=rollouts.store, actor="a test", trace=act)
    step = lambda: slow.step(MODEL, observed(0.1, 0.1, after=10), QUICK, session=day(12))  # noqa: E731
    if point == "verified":
        assert step().step.why == "already_max_stage", "who looks after the row has won sees what it says"
    else:
        with pytest.raises(RolloutRaced, match="roll_back of version 2"):
            step()
    live = live_now(rollouts.journal, MODEL)
    assert (live.number, live.candidates, live.champion.version.number) == (3, (), 1)
    assert rollouts.states() == {1: "deployed", 2: "rolled_back"}


class Slow(Remembered):
    """A store whose next alias is set only after somebody else has done something."""

    def alias(self, model, name, number):
        act, self.act = self.act, lambda: None
        act()
        super().alias(model, name, number)

    act = staticmethod(lambda: None)


def test_a_reconciler_that_was_overtaken_does_not_bring_the_old_champion_back(new_journal):
    rollouts = Rollouts(new_journal(), Slow())
    rollouts.deployed("one")
    at_once = QUICK.model_copy(update={"ladder": (100,), "shadow_sessions": 0})
    two = rollouts.candidate("two", champion=rollouts.champion(), policy=at_once)
    rollouts.store.alias(MODEL, "champion", None)  # so that there is something to do
    rollouts.store.act = lambda: rollouts.switch.deploy(two, session=day(5))
    Projection(journal=rollouts.journal, store=rollouts.store, actor="slow").reconcile(MODEL)
    assert (rollouts.champion().number, rollouts.states()) == (2, {1: "retired", 2: "deployed"})


@pytest.mark.parametrize("harm", ["tamper", "lose"])
def test_nothing_is_switched_to_a_version_that_is_gone_or_tampered_with(rollouts, harm):
    rollouts.deployed("one", "two")
    getattr(rollouts.store, harm)(1)
    before = live_now(rollouts.journal, MODEL)
    with pytest.raises(CannotServe, match=r"Version 1 of demo\.candles cannot serve"):
        rollouts.switch.roll_back(MODEL, session=day(9), reason="a person has seen something")
    assert (live_now(rollouts.journal, MODEL), rollouts.champion().number) == (before, 2)
    three = rollouts.candidate("three", champion=rollouts.champion())
    getattr(rollouts.store, harm)(3)
    with pytest.raises((CannotServe, NotDeployable)):
        rollouts.switch.deploy(three, session=day(9))


def test_a_champion_that_is_gone_can_be_rolled_back(rollouts):
    rollouts.deployed("one", "two")
    rollouts.store.lose(2)
    rollouts.store.aliases.clear()
    with pytest.raises(CannotServe, match="gone from the store"):
        rollouts.switch.reconcile(MODEL)
    rollouts.switch.roll_back(MODEL, session=day(9), reason="it is gone")
    assert rollouts.champion().number == 1


@pytest.mark.parametrize(
    ("checks", "error"),
    [
        (Checks(compatible=lambda _: ["the data lacks KMID"]), Incompatible),
        (Checks(healthy=lambda _: ["3 of its forecasts are no numbers"]), Unhealthy),
    ],
)
def test_a_version_that_does_not_fit_or_is_not_healthy_does_not_go_live(rollouts, checks, error):
    rollouts.deployed("one")
    decision = rollouts.candidate("two", champion=rollouts.champion())
    before = live_now(rollouts.journal, MODEL)
    strict = Switch(journal=rollouts.journal, store=rollouts.store, actor="a test", checks=checks)
    with pytest.raises(error, match="Nothing was switched"):
        strict.deploy(decision, session=day(5))
    assert live_now(rollouts.journal, MODEL) == before
    assert rollouts.champion().number == 1


def test_on_a_journal_that_somebody_changed_nothing_is_moved_and_the_row_is_named(rollouts):
    [decision] = rollouts.deployed("one")
    engine = create_engine(rollouts.journal._database._engine.url)
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER IF EXISTS journal_no_update"))
        connection.execute(text("UPDATE journal SET payload = replace(payload, '100', '30') WHERE sequence = 2"))
    engine.dispose()
    for act in (
        lambda: rollouts.switch.deploy(decision, session=day(5)),
        lambda: rollouts.switch.step(MODEL, [], QUICK, session=day(5)),
        lambda: rollouts.switch.roll_back(MODEL, session=day(5), reason="a person has seen something"),
    ):
        with pytest.raises(JournalUntrusted, match="row 2 is not what was written"):
            act()


def test_a_row_that_does_not_follow_from_those_before_it_is_refused(rollouts):
    rollouts.deployed("one")
    strange = Rolled(
        number=2,
        action="roll_back",
        version=Ref(number=9, id="9"),
        stage=100,
        session=day(1),
        decision=None,
        reason="x",
    )
    rollouts.journal.append(ROLLOUT.entry(strange, subject=MODEL, actor="a stranger"))
    with pytest.raises(RolloutUnreadable, match="version 9"):
        live_now(rollouts.journal, MODEL)


@pytest.mark.parametrize("people", [1, 2])
def test_a_step_needs_as_many_different_people_as_the_policy_says(rollouts, people):
    policy = QUICK.model_copy(update={"approvals": people, "approver_role": "risk"})
    rollouts.deployed("one")
    decision = rollouts.candidate("two", champion=rollouts.champion(), policy=policy)
    rollouts.switch.deploy(decision, session=day(10))  # into shadow, where nobody is served
    step = lambda: rollouts.switch.step(MODEL, observed(0.1, 0.1, after=10), policy, session=day(12)).step  # noqa: E731
    with pytest.raises(ApproverRefused, match="approved by who is risk"):
        approve(rollouts.journal, decision.id, person="Eve", role="viewer")
    for person in (["Ann", "Bob"])[: people - 1]:
        approve(rollouts.journal, decision.id, person=person, role="risk")
        approve(rollouts.journal, decision.id, person=f" {person.lower()} ", role="risk")
    assert (step().why, live_now(rollouts.journal, MODEL).canary) == ("needs_approval", None)
    approve(rollouts.journal, decision.id, person="Cem", role="risk")
    assert step().to_stage == 10


def test_a_version_that_would_serve_everybody_at_once_needs_its_approvals_first(rollouts):
    policy = QUICK.model_copy(update={"approvals": 1})
    decision = rollouts.candidate("one", policy=policy)
    with pytest.raises(ApprovalMissing, match="approved by nobody; 1 different people who are approver"):
        rollouts.switch.deploy(decision, session=day(0))
    approve(rollouts.journal, decision.id, person="Ann", role="approver")
    assert rollouts.switch.deploy(decision, session=day(0)).champion.version.number == 1
    with pytest.raises(ApproverRefused, match="no decision"):
        approve(rollouts.journal, "0" * 64, person="Ann", role="approver")


def test_what_was_live_is_answered_for_every_moment_even_if_the_clock_went_back(new_journal):
    clock = Ticking()
    journal = new_journal(clock=clock)
    rollouts = Rollouts(journal, Remembered())
    rollouts.deployed("one")
    clock.at = AT + timedelta(hours=1)
    rollouts.deployed("two")
    clock.at = AT - timedelta(days=1)  # somebody put it back
    rollouts.deployed("three")
    clock.at = AT + timedelta(hours=2)
    rollouts.switch.roll_back(MODEL, session=day(9), reason="a person has seen something")

    def number(**after):
        champion = live_at(journal, MODEL, AT + timedelta(**after)).champion
        return None if champion is None else champion.version.number

    assert [number(minutes=-1), number(minutes=30), number(minutes=90), number(hours=3)] == [None, 1, 3, 2]
    assert [each.number for _, each in moves(journal, MODEL)] == [1, 2, 3, 4]


def test_another_models_rows_do_not_matter(rollouts):
    rollouts.deployed("one")
    rollouts.journal.append(Entry(kind="note", subject=MODEL, actor="a test"))
    assert live_now(rollouts.journal, "demo.other").champion is None
    assert live_now(rollouts.journal, MODEL).champion.version.number == 1


def test_the_defaults_are_those_that_were_decided():
    """X-20, X-25, X-47."""
    policy = Deployment()
    assert (policy.f1_gain, policy.mse_ratio, policy.tripwire_mse_ratio, policy.tripwire_ic) == (0.05, 0.9, 0.9, 0.15)
    assert (policy.least_sharpe, policy.deepest_drawdown, policy.most_rejects) == (0.5, -0.25, 0.05)
    assert (policy.step_after_sessions, policy.window_sessions, policy.rollback_after_failed_windows) == (5, 5, 2)
    assert (policy.significance, policy.approvals, policy.shadow_sessions) == (0.05, 0, 5)


def test_a_decision_from_before_a_field_existed_can_be_read_and_its_version_followed(rollouts):
    """Policies grow; what was decided before stays readable, and nothing that is live hangs on it."""
    decision = rollouts.candidate("one")
    payload = decision.model_dump(mode="json")
    del payload["policy"]["window_errors"], payload["evidence"]["trials"]
    rollouts.journal.append_once("decision:old", Entry(kind="decision", subject=MODEL, actor="x", payload=payload))
    assert recorded(rollouts.journal, "old")[1] == decision
    rollouts.switch.deploy(decision, session=day(0))
    assert rollouts.states() == {1: "deployed"}
    broken = Entry(kind="decision", subject=MODEL, actor="x", payload={**payload, "verdict": "perhaps"})
    rollouts.journal.append_once("decision:broken", broken)
    with pytest.raises(JournalDamaged, match="does not hold a decision"):
        recorded(rollouts.journal, "broken")


def test_no_version_that_a_decision_names_is_trimmed(rollouts):
    """X-17."""
    rollouts.deployed("one")
    rollouts.candidate("two", champion=rollouts.champion())
    for number in range(3, 8):
        rollouts.store.save(packed(training=f"unseen-{number}"), "run", actor="a test")
        rollouts.store.move(MODEL, number, "rejected", actor="a test")
    assert [each.number for each in rollouts.switch.trim(MODEL, QUICK)] == [3, 4]
    assert list(rollouts.states()) == [1, 2, 5, 6, 7]


def test_the_health_check_asks_the_model_itself():
    assert forecasts(packed("linear")) == []
    assert forecasts(packed("lightgbm")) == []
    other = packed("linear")
    wrong = replace(
        other, manifest=other.manifest.model_copy(update={"columns": (*other.manifest.columns, "one_more")})
    )
    assert forecasts(wrong)[0].startswith("it does not forecast: ")


def test_a_rollout_does_not_go_back_to_a_session_before_its_last_move(rollouts):
    """What was live between the two would be another thing afterwards."""
    rollouts.deployed("one", "two", after=5)
    with pytest.raises(SessionPassed, match="Ask for that session or a later one"):
        rollouts.switch.roll_back(MODEL, session=day(5), reason="too late")
    assert rollouts.champion().number == 2
    assert live_on(rollouts.journal, MODEL, day(5)).champion.version.number == 1


def test_versions_that_a_decision_to_go_live_names_are_cited_and_rejected_ones_are_not(rollouts):
    """X-17, S3-15."""
    one, two = rollouts.deployed("one", "two")
    never = QUICK.model_copy(update={"f1_gain": 0.5, "mse_ratio": 0.1})
    rejected = rollouts.candidate("three", champion=rollouts.champion(), policy=never)
    assert not rejected.goes_live
    assert cited(rollouts.journal, MODEL) == {each.evidence.candidate.version_id for each in (one, two)}
