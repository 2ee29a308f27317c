"""The gate as a whole against candidates of known worth. All kinds and sizes: benchmarks/bench_gate.py."""

import numpy as np
import pytest

from quant_pipelines.deployment.safety import (
    FIRST,
    MANY,
    WORTHLESS,
    Holdout,
    World,
    better,
    evidence_of,
    first_knowing,
    passed,
)
from quant_pipelines.evaluation.metrics import by_session
from quant_pipelines.strategies import Deployment

POLICY = Deployment()
LIMIT = 0.05
ERRORS = 3
WORLDS = (World(sessions=20, names=3), World(sessions=40, names=30))


@pytest.mark.parametrize("name", [each for each in WORTHLESS if each != MANY])
def test_what_is_not_better_hardly_ever_takes_the_champions_place(name):
    """X-20. Even without gates: those stop much that the guards let through."""
    found = [passed(WORTHLESS[name], world, POLICY, holdouts=40) for world in WORLDS]
    holdouts, without_gates = sum(each.holdouts for each in found), sum(each.without_gates for each in found)
    slack = ERRORS * np.sqrt(LIMIT * (1 - LIMIT) / holdouts)
    assert without_gates / holdouts <= LIMIT + slack
    assert all(each.whole <= each.without_gates <= each.as_specified for each in found)


def test_who_tries_fifty_times_hardly_ever_finds_one_by_luck():
    """The bare rule lets one of fifty through almost always."""
    found = passed(WORTHLESS[MANY], WORLDS[0], POLICY, holdouts=5)
    assert found.as_specified >= 3
    assert found.whole <= 2


def test_the_bare_rule_falls_for_coins_in_a_third_of_all_holdouts_of_sixty_rows():
    """X-20: 31.6 %."""
    found = passed(WORTHLESS["coin flips"], WORLDS[0], POLICY, holdouts=150)
    assert abs(found.as_specified / 150 - 0.316) <= ERRORS * found.error(0.316)


@pytest.mark.parametrize("name", FIRST)
def test_a_first_model_that_knows_nothing_hardly_ever_goes_live(name):
    """It has nobody to be compared with, and of finite numbers that are no constant noise has plenty."""
    found = [passed(FIRST[name], world, POLICY, holdouts=60) for world in WORLDS]
    slack = ERRORS * np.sqrt(LIMIT * (1 - LIMIT) / 120)
    assert sum(each.without_gates for each in found) / 120 <= LIMIT + slack
    bare = sum(each.as_specified for each in found)
    assert bare == 0 if name == "always up" else bare > 100


def test_by_the_letter_a_first_coin_can_be_lucky():
    """X-20: only the gates stop noise then, and by luck alone they often do not."""
    letter = POLICY.model_copy(update={"gate_first": False})
    coin = passed(FIRST["coin flips"], WORLDS[0], letter, holdouts=40)
    assert 0 < coin.whole < coin.without_gates


def test_a_first_model_that_knows_something_goes_live_where_there_is_enough_to_see_it_by():
    found = passed(first_knowing(0.1), World(sessions=66, names=100), POLICY, holdouts=20)
    assert found.whole >= 10


def test_one_that_is_really_better_goes_live_where_the_rule_can_see_it():
    """It needs an F1 gain of 0.05, which is an IC of about 0.15: where the tripwire is. Gates and wire are off here."""
    policy = POLICY.model_copy(
        update={"tripwire_ic": 1.0, "least_sharpe": None, "deepest_drawdown": None, "most_rejects": None}
    )
    found = passed(better(0.3), World(sessions=66, names=30), policy, holdouts=20)
    assert found.whole >= 10


def test_a_simulation_is_what_it_says():
    """The forecasts know as much as was asked for, and equal seeds make equal markets."""
    world = World(sessions=400, names=50)
    one, again = (Holdout(world=world, chance=np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one.returns, again.returns)
    sessions = np.repeat(np.arange(400), 50)
    for correlation in (0.0, 0.1):
        ics = by_session(one.knowing(correlation).ravel(), one.returns.ravel(), sessions)
        assert ics.mean() == pytest.approx(correlation, abs=4 * ics.std() / np.sqrt(400))
    market = one.returns.mean(axis=1)
    assert np.corrcoef(market[1:], market[:-1])[0, 1] == pytest.approx(world.market_memory, abs=0.15)
    assert one.returns.std() == pytest.approx(world.deviation, rel=0.2)


def test_too_few_sessions_are_no_evidence():
    world = World(sessions=9, names=5)
    holdout = Holdout(world=world, chance=np.random.default_rng(0))
    (pair,) = WORTHLESS["coin flips"](holdout)
    assert evidence_of(holdout, pair).status == "insufficient_observation"
    assert passed(better(0.3), world, POLICY, holdouts=5).as_specified == 0
