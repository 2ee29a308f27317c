"""A policy replayed over the past: the same moves as the real switch makes, and what they would have been worth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipelines.deployment import Observation, Ref, Switch, decide, live_now, record, rivals
from quant_pipelines.deployment.failures import BadHistory, NotDeployable, RolloutUnderway, StaleDecision
from quant_pipelines.deployment.replay import Candidate, History, replay
from quant_pipelines.strategies import Deployment
from tests.judged import evidence, gain, seen
from tests.rollouts import QUICK, Remembered, day
from tests.stored import MODEL, packed

MARKET, STRATEGY = MODEL.split(".")
GOOD = {"f1": gain(0.06), "balanced_f1": gain(0.04)}
POOR = {"f1": gain(0.0), "balanced_f1": gain(0.0)}
POLICIES = [
    QUICK,
    QUICK.model_copy(update={"shadow_sessions": 0}),
    QUICK.model_copy(update={"ladder": (100,), "rollback_after_failed_windows": 1}),
    QUICK.model_copy(update={"policy": "as_specified", "window_errors": 0.0}),
    QUICK.model_copy(update={"post_training_validation": False}),
]


def against(version: Ref, champion: Ref | None, *, good: bool = True):
    return evidence(
        market=MARKET,
        strategy=STRATEGY,
        candidate=seen(str(version.number), version.id, f1=0.56, balanced_f1=0.54),
        champion=None if champion is None else seen(str(champion.number), champion.id),
        gains={} if champion is None else GOOD if good else POOR,
        mse_ratio=None if champion is None else gain(0.99, luck=0.3),
    )


def past(judged, values, *, sessions, versions, lag=1, alone=True):
    """`judged`: which version at which session, and whether it is better than whatever was there before."""
    refs = versions[: len(judged)]
    candidates = tuple(
        Candidate(
            version=ref,
            session=day(at),
            seen=(
                *((against(ref, None),) if alone or number == 0 else ()),
                *(against(ref, other, good=good) for other in refs[:number]),
            ),
        )
        for number, (ref, (at, good)) in enumerate(zip(refs, judged, strict=True))
    )
    results = {"ic": {ref.id: np.asarray(values[number], float) for number, ref in enumerate(refs)}}
    return History(
        model=MODEL,
        sessions=tuple(day(each) for each in range(sessions)),
        candidates=candidates,
        results=results,
        lag_sessions=lag,
    )


# More of them agree too; a journal takes its time.
SEEDS = range(2)
REFS = [Ref(number=number, id=letter * 64) for number, letter in enumerate("abcde", 1)]


def really(history, policy, journal, store):
    """What the switch does with a journal, session by session; who is live before each close and in the end."""
    switch, lives = Switch(journal=journal, store=store, actor="a test"), []
    for place, session in enumerate(history.sessions):
        lives.append(live_now(journal, MODEL))
        begun = False
        for candidate in history.candidates:
            if candidate.session == session:
                begun = really_begun(candidate, policy, switch, session) or begun
        if not begun:
            switch.step(MODEL, really_seen(history, live_now(journal, MODEL), place), policy, session=session)
    return lives, live_now(journal, MODEL)


def really_begun(candidate, policy, switch, session):
    before = live_now(switch.journal, MODEL)
    champion = None if before.champion is None else before.champion.version.id
    fitting = [each for each in candidate.seen if (each.champion and each.champion.version_id) == champion]
    decision = decide((fitting or candidate.seen)[0], policy)
    record(switch.journal, decision, actor="a test")
    try:
        return switch.deploy(decision, session=session, policy=policy).number > before.number
    except (NotDeployable, StaleDecision, RolloutUnderway):
        return False


def really_seen(history, live, place):
    if rivals(live) is None:
        return []
    mine, theirs = (history.results["ic"][each.version.id] for each in rivals(live))
    return [
        Observation(session=history.sessions[at], candidate=none_if_nan(mine[at]), champion=none_if_nan(theirs[at]))
        for at in range(place + 1)
        if at + history.lag_sessions <= place
    ]


def none_if_nan(value):
    return None if np.isnan(value) else float(value)


def without_rows(live):
    """Moves are counted by the replay, journal rows by the journal."""
    text = live.model_dump(mode="json")
    for each in (text["champion"], text["canary"], *text["shadows"], *text["earlier"]):
        if each is not None:
            each.pop("row")
    return text


def any_past(chance, versions, *, sessions, alone):
    """Candidates at any sessions, some of them better, and results with gaps that favour one or another."""
    judged = sorted(
        (int(at), bool(chance.random() < 0.8)) for at in chance.integers(0, sessions, chance.integers(1, 6))
    )
    skill = chance.choice([-0.1, 0.0, 0.1], (5, 1))
    values = skill + chance.normal(0, chance.choice([0.01, 0.1]), (5, sessions))
    values[chance.random(values.shape) < 0.1] = np.nan
    lag = int(chance.integers(0, 3))
    return past(judged, values, sessions=sessions, versions=versions, lag=lag, alone=alone)


@st.composite
def pasts(draw):
    chance = np.random.default_rng(draw(st.integers(0, 100_000)))
    return any_past(chance, REFS, sessions=draw(st.integers(6, 30)), alone=draw(st.booleans()))


@pytest.mark.parametrize("number", range(len(POLICIES)))
@pytest.mark.parametrize("seed", SEEDS)
def test_it_is_what_the_real_switch_would_have_done(new_journal, number, seed):
    kept, policy = Remembered(), POLICIES[number]
    saved = [kept.save(packed(training=f"t{each}"), "run", actor="a test") for each in range(5)]
    refs = [Ref(number=each.number, id=each.id) for each in saved]
    history = any_past(np.random.default_rng([seed, number]), refs, sessions=16, alone=seed % 2 == 0)
    lives, last = really(history, policy, new_journal(), kept)
    found = replay(history, policy)
    assert [without_rows(each) for each in found.served] == [without_rows(each) for each in lives]
    assert without_rows(found.live) == without_rows(last)


@settings(max_examples=100)
@given(data=st.data())
def test_what_it_was_worth_is_the_sum_over_who_served(data):
    history = data.draw(pasts())
    found = replay(history, data.draw(st.sampled_from(POLICIES)))
    values, paths = history.results["ic"], found.paths["ic"]
    first = None
    for at, live in enumerate(found.served):
        serving = {} if live.champion is None else {live.champion.version.id: 100}
        if live.canary is not None:
            serving = {live.canary.version.id: live.canary.stage, **dict.fromkeys(serving, 100 - live.canary.stage)}
        assert sum(serving.values()) in (0, 100)
        worth = sum(percent / 100 * values[each][at] for each, percent in serving.items()) if serving else np.nan
        np.testing.assert_allclose(paths.policy[at], worth, rtol=1e-12, equal_nan=True)
        first = first or (live.champion and live.champion.version.id)
        np.testing.assert_equal(paths.never_retrain[at], values[first][at] if first else np.nan)
        before = [each.version.id for each in history.candidates if each.session < history.sessions[at]]
        np.testing.assert_equal(paths.always_newest[at], values[before[-1]][at] if before else np.nan)
    three = np.stack([paths.policy, paths.never_retrain, paths.always_newest])
    three = three[:, np.isfinite(three).all(axis=0)]
    assert paths.sessions == three.shape[1]
    if three.size:
        np.testing.assert_allclose(paths.means(), three.mean(axis=1), rtol=1e-12)
    else:
        assert paths.means() is None


@given(data=st.data())
def test_the_past_does_not_change_when_the_future_arrives(data):
    history = data.draw(pasts())
    policy = data.draw(st.sampled_from(POLICIES))
    cut = data.draw(st.integers(1, len(history.sessions)))
    sessions = history.sessions[:cut]
    known = tuple(each for each in history.candidates if each.session in sessions)
    short = History(
        model=history.model,
        sessions=sessions,
        candidates=known,
        results={"ic": {name: each[:cut] for name, each in history.results["ic"].items()}},
        lag_sessions=history.lag_sessions,
    )
    whole, found = replay(history, policy), replay(short, policy)
    assert found.events == tuple(each for each in whole.events if each.session in sessions)
    assert found.served == whole.served[:cut]
    np.testing.assert_array_equal(found.paths["ic"].policy, whole.paths["ic"].policy[:cut])


def test_a_better_one_climbs_and_a_worse_one_is_rolled_back():
    """By hand: judged at 0 and 2; shadow for 2 sessions, 10 and 30 percent for 2 each, each known a session later."""
    better = past([(0, True), (2, True)], [np.zeros(14), np.full(14, 0.1)], sessions=14, versions=REFS)
    found = replay(better, QUICK)
    told = [(each.doing, each.version.number, each.stage, each.session) for each in found.events]
    assert told == [
        ("decided", 1, None, day(0)), ("begin", 1, 100, day(0)), ("decided", 2, None, day(2)), ("begin", 2, 0, day(2)),
        ("step", 2, 10, day(5)), ("step", 2, 30, day(8)), ("step", 2, 100, day(11)),
    ]  # fmt: skip
    np.testing.assert_allclose(found.paths["ic"].policy[1:], [0] * 5 + [0.01] * 3 + [0.03] * 3 + [0.1] * 2)
    worse = past([(0, True), (2, True)], [np.zeros(14), np.full(14, -0.1)], sessions=14, versions=REFS)
    found = replay(worse, QUICK)
    assert [(each.doing, each.session) for each in found.events][-1] == ("roll_back", day(7))
    assert found.paths["ic"].means() == (0.0, 0.0, pytest.approx(-0.1 * 11 / 13))


def test_what_was_never_compared_with_the_champion_it_would_have_met_stays_out():
    refs = REFS[:3]
    history = past([(0, True), (2, False), (4, True)], np.zeros((3, 8)), sessions=8, versions=refs)
    only_second = Candidate(version=refs[2], session=day(4), seen=(against(refs[2], refs[1]),))
    history = History(
        model=MODEL, sessions=history.sessions, candidates=(*history.candidates[:2], only_second),
        results=history.results,
    )  # fmt: skip
    found = replay(history, QUICK)
    assert [(each.doing, each.version.number) for each in found.events] == [
        ("decided", 1), ("begin", 1), ("decided", 2), ("refused", 3),
    ]  # fmt: skip
    assert found.live.champion.version == refs[0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sessions": (day(1), day(0))}, "do not rise"),
        ({"watched": "sharpe"}, "to watch 'sharpe'"),
        ({"results": {"ic": {}}}, "lacks versions \\[1\\]"),
        ({"results": {"ic": {REFS[0].id: np.zeros(3)}}}, "2 sessions"),
        ({"sessions": (day(8), day(9))}, "no session of this history"),
    ],
)
def test_a_past_with_holes_is_refused(changes, told):
    fine = past([(0, True)], np.zeros((1, 2)), sessions=2, versions=REFS)
    values = {name: getattr(fine, name) for name in ("model", "sessions", "candidates", "results", "watched")}
    with pytest.raises(BadHistory, match=told):
        History(**{**values, **changes})
    assert replay(fine, Deployment()).live.champion.version == REFS[0]
