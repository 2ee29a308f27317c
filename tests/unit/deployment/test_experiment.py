"""A/B experiments: fair shares, and a test that may be looked at every session (S2-102, S2-126)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from quant_pipelines.deployment import (
    Arm,
    Experiment,
    Outcome,
    Ref,
    arms_of,
    create,
    ending,
    experiments,
    find,
    results,
    stop,
)
from quant_pipelines.deployment.experiment import half_width, interval
from quant_pipelines.deployment.failures import BadExperiment, ExperimentEnded, UnknownExperiment
from tests.rollouts import day

SYMBOLS = [f"{number:06d}.SZ" for number in range(10_000)]


def experiment(*shares: float, name: str = "first", **changes) -> Experiment:
    arms = [Arm(name=f"arm {n}", version=Ref(number=n, id=str(n)), share=each) for n, each in enumerate(shares, 1)]
    values = {"name": name, "model": "demo.candles", "arms": tuple(arms), "measure": "rank_ic", "since": day(0)}
    return Experiment(**values | changes)


HALVES = experiment(0.5, 0.5)


def outcomes(gains) -> list[Outcome]:
    return [
        Outcome(session=day(n), values={"arm 1": 0.0, "arm 2": None if gain is None else float(gain)})
        for n, gain in enumerate(gains, 1)
    ]


@given(
    st.lists(st.integers(1, 20), min_size=2, max_size=5),
    st.from_regex(r"[a-z0-9]{1,12}", fullmatch=True),
)
def test_symbols_follow_the_configured_proportions(weights, name):
    """Feature: mlops-optimization, Property 7: (req. 7.1): A/B traffic follows the configured proportions.

    S2-102. Within what chance allows on 10,000 symbols (5 standard deviations), and the same whenever it is asked.
    """
    total = sum(weights)
    made = experiment(*(each / total for each in weights), name=name)
    found = arms_of(made, SYMBOLS)
    for arm in made.arms:
        chance = 5 * math.sqrt(arm.share * (1 - arm.share) / len(SYMBOLS))
        assert sum(each == arm.name for each in found.values()) / len(SYMBOLS) == pytest.approx(arm.share, abs=chance)
    assert arms_of(made, SYMBOLS[::-1][:50]) == {each: found[each] for each in SYMBOLS[::-1][:50]}


def autocorrelated(phi: float, *, runs: int, sessions: int, seed: int) -> np.ndarray:
    """AR(1) series around 0."""
    noise = np.random.default_rng(seed).standard_normal((runs, sessions))
    series = np.empty_like(noise)
    series[:, 0] = noise[:, 0] / math.sqrt(1 - phi**2)
    for at in range(1, sessions):
        series[:, at] = phi * series[:, at - 1] + noise[:, at]
    return series


def false_stops(phi: float, *, runs: int, seed: int) -> float:
    """How many of the experiments without a difference ever say that there is one, looked at after every block."""
    blocks = autocorrelated(phi, runs=runs, sessions=500, seed=seed).reshape(runs, 50, 10).mean(axis=2)
    stopped = 0
    for each in blocks:
        looks = (interval(each[:count], alpha=0.05, planned=25) for count in range(4, 51))
        stopped += any(low > 0 or high < 0 for _, low, high in looks)
    return stopped / runs


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.7])
def test_who_looks_all_the_time_is_not_fooled_more_often_than_alpha(phi):
    """400 experiments over two years of sessions that follow one another: 0.05, and 3 standard errors of the count."""
    assert false_stops(phi, runs=400, seed=11) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_where_luck_outlasts_the_blocks_the_interval_is_widened():
    """Blocks of 10 sessions are too short at 0.9; without the blocks' own autocorrelation 0.23 are fooled."""
    assert false_stops(0.9, runs=400, seed=11) <= 0.1


@pytest.mark.nightly
@pytest.mark.parametrize("phi", [0.0, 0.3, 0.5, 0.7])
def test_who_looks_all_the_time_is_not_fooled_more_often_than_alpha_in_many_experiments(phi):
    assert false_stops(phi, runs=5000, seed=12) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 5000)


def test_the_same_looks_with_an_ordinary_t_interval_are_fooled_often():
    """The control: it is the looking that fools, and the simulation sees it."""
    blocks = autocorrelated(0.5, runs=400, sessions=500, seed=11).reshape(400, 50, 10).mean(axis=2)
    stopped = sum(
        any(abs(each[:n].mean()) > 1.96 * each[:n].std(ddof=1) / math.sqrt(n) for n in range(4, 51)) for each in blocks
    )
    assert stopped / 400 > 0.2


@given(st.integers(4, 400), st.floats(0.01, 10), st.sampled_from([0.01, 0.05, 0.2]), st.integers(4, 200))
def test_the_interval_ends_where_the_likelihood_ratio_reaches_one_over_alpha(count, spread, alpha, planned):
    """The definition, written down again: a t-statistic's mixture over effects with a normal prior."""
    half = half_width(count, spread, alpha=alpha, planned=planned)
    wanted = -2 * math.log(alpha)
    prior = planned / (wanted + math.log(wanted + 1))
    shrunk = prior / (prior + count)
    if math.isinf(half):
        assert math.sqrt(shrunk) * shrunk ** (-count / 2) <= 1 / alpha * (1 + 1e-9), "no gain at all would reach it"
        return
    x = count * (half / spread) ** 2 / (count - 1)
    ratio = 0.5 * math.log(shrunk) + count / 2 * (math.log1p(x) - math.log1p(shrunk * x))
    assert ratio == pytest.approx(math.log(1 / alpha), rel=1e-6)


def test_a_gain_of_the_smallest_detectable_size_is_found_as_often_as_promised():
    noise = autocorrelated(0.3, runs=300, sessions=250, seed=3)
    told = [results(HALVES, outcomes(each)).comparisons[0].smallest_detectable for each in noise[:20]]
    gain = float(np.median(told))
    found = [results(HALVES, outcomes(each + gain)).comparisons[0].finding for each in noise[:120]]
    assert 0.7 <= found.count("better") / len(found) <= 0.95
    assert "worse" not in found


@pytest.mark.parametrize(("gain", "finding"), [(1.0, "better"), (-1.0, "worse"), (0.0, "undecided")])
def test_results_say_what_was_found_in_a_sentence(gain, finding):
    noise = autocorrelated(0.0, runs=1, sessions=200, seed=5)[0]
    found = results(HALVES, outcomes(noise - noise.mean() + gain))
    [compared] = found.comparisons
    assert (compared.finding, compared.sessions, compared.blocks) == (finding, 200, 20)
    assert compared.low < compared.gain < compared.high
    assert "rank_ic per session, after 200" in found.text
    assert "250 sessions show a gain of" in found.text


def test_too_few_sessions_are_no_evidence():
    found = results(HALVES, outcomes([1.0] * 39 + [None] * 50))
    assert found.comparisons[0].finding == "insufficient_observation"
    assert found.text == "arm 2: 39 sessions are too few to compare it with arm 1; 40 are needed."
    assert results(HALVES, outcomes([math.nan] * 100)).comparisons[0].sessions == 0


def test_several_arms_share_the_chance_of_being_wrong():
    made = experiment(0.4, 0.3, 0.3)
    gains = autocorrelated(0.0, runs=1, sessions=200, seed=5)[0]
    both = [
        Outcome(session=each.session, values={**each.values, "arm 3": each.values["arm 2"]}) for each in outcomes(gains)
    ]
    alone, shared = results(HALVES, both).comparisons[0], results(made, both).comparisons[0]
    assert shared.low < alone.low < alone.high < shared.high


def test_an_experiment_is_created_once_and_stopped_once(new_journal):
    journal = new_journal()
    create(journal, HALVES, actor="a test")
    create(journal, HALVES, actor="another")
    with pytest.raises(BadExperiment, match="another experiment 'first'"):
        create(journal, experiment(0.2, 0.8), actor="a test")
    assert (find(journal, "first"), experiments(journal), ending(journal, "first")) == (HALVES, [HALVES], None)
    stop(journal, "first", session=day(100), reason="it is better", actor="a test")
    with pytest.raises(ExperimentEnded):
        stop(journal, "first", session=day(101), reason="it is worse", actor="a test")
    ended = ending(journal, "first")
    assert results(HALVES, outcomes([1.0] * 200), ended).comparisons[0].sessions == 100
    with pytest.raises(UnknownExperiment, match="There are: first"):
        find(journal, "second")
    assert journal.verify() == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"shares": (0.5, 0.4)}, "add up to 0.9"),
        ({"shares": (0.5, 0.5), "planned_sessions": 30}, "less than 4 blocks"),
        ({"shares": (0.9,)}, "at least 2"),
    ],
)
def test_an_experiment_that_could_tell_nothing_is_refused(changes, told):
    with pytest.raises(ValidationError, match=told):
        experiment(*changes.pop("shares"), **changes)
