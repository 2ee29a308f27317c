"""Luck against the examples that its authors published, and against slow definitions."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from quant_pipelines.evaluation.failures import BadEvaluation, RowsDiffer
from quant_pipelines.evaluation.luck import (
    Record,
    best_of,
    deflated_sharpe,
    least_record,
    overfitting,
    probabilistic_sharpe,
)


def test_a_record_is_what_scipy_says_of_it():
    returns = np.random.default_rng(1).standard_t(4, 200) * 0.01
    found = Record.of(returns)
    assert found is not None
    assert found.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1))
    assert found.skewness == pytest.approx(stats.skew(returns))
    assert found.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False))
    assert Record.of(np.full(10, 0.01)) is None
    assert Record.of(np.array([0.1, np.nan, 0.2, 0.3])) is None


def test_the_probabilistic_sharpe_ratio_of_the_paper():
    """Bailey and Lopez de Prado 2012: two years of months, Sharpe 0.458, once with its tails and once as if normal."""
    tails = Record(returns=24, sharpe=0.458, skewness=-2.448, kurtosis=10.164)
    assert probabilistic_sharpe(tails) == pytest.approx(0.913, abs=5e-4)
    assert probabilistic_sharpe(Record(returns=24, sharpe=0.458)) == pytest.approx(0.982, abs=5e-4)


@pytest.mark.parametrize(("periods", "years"), [(252, 2.73), (52, 2.83), (12, 3.24)])
def test_the_least_track_record_of_the_paper(periods, years):
    """Ibid.: an annual Sharpe ratio of 2 against one of 1 at 95 %, by days, weeks and months."""
    record = Record(returns=1, sharpe=2 / np.sqrt(periods))
    found = least_record(record, benchmark=1 / np.sqrt(periods))
    assert found / periods == pytest.approx(years, abs=0.005 + 1 / periods)


@pytest.mark.parametrize(("trials", "expected"), [(100, 0.9004), (46, 0.9505)])
def test_the_deflated_sharpe_ratio_of_the_paper(trials, expected):
    """Bailey and Lopez de Prado 2014: five years of 250 days, Sharpe 2.5, variance of the trials 1/2, all annual."""
    record = Record(returns=1250, sharpe=2.5 / np.sqrt(250), skewness=-3, kurtosis=10)
    assert deflated_sharpe(record, trials=trials, variance=0.5 / 250) == pytest.approx(expected, abs=2e-4)
    if trials == 100:
        assert best_of(100, variance=0.5 / 250) == pytest.approx(0.1132, abs=5e-5)


@pytest.mark.parametrize("trials", [2, 10, 200])
def test_the_best_of_worthless_trials_shows_what_is_expected(trials):
    best = np.random.default_rng(1).standard_normal((20_000, trials)).max(axis=1).mean()
    assert best_of(trials, variance=1.0) == pytest.approx(best, rel=0.08)


@given(sharpe=st.floats(-0.3, 0.3), skewness=st.floats(-1, 1), kurtosis=st.floats(3, 12), returns=st.integers(30, 2000))
def test_more_trials_and_shorter_records_leave_less(sharpe, skewness, kurtosis, returns):
    record = Record(returns=returns, sharpe=sharpe, skewness=skewness, kurtosis=kurtosis)
    chances = [deflated_sharpe(record, trials=trials, variance=0.01) for trials in (1, 5, 100)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] == probabilistic_sharpe(record)
    needed = least_record(record)
    if needed is None:
        assert sharpe < 1e-9
    elif 2 < needed < 10**9:
        enough, short = (
            probabilistic_sharpe(Record(returns=count, sharpe=sharpe, skewness=skewness, kurtosis=kurtosis))
            for count in (needed, needed - 1)
        )
        assert enough >= 0.95 - 1e-12
        assert short < 0.95


def overfitting_slowly(returns: np.ndarray, blocks: int, by: str = "sharpe") -> float:
    def worth(half):
        return half.mean(axis=0) / (half.std(axis=0) if by == "sharpe" else 1.0)

    length = len(returns) // blocks
    cut = np.split(returns[len(returns) - length * blocks :], blocks)
    below = []
    for half in combinations(range(blocks), blocks // 2):
        learned = np.vstack([cut[each] for each in half])
        judged = np.vstack([cut[each] for each in range(blocks) if each not in half])
        best = np.argmax(worth(learned))
        rank = stats.rankdata(worth(judged))[best] / (returns.shape[1] + 1)
        below.append(np.log(rank / (1 - rank)) <= 1e-12)
    return float(np.mean(below))


@given(seed=st.integers(0, 10**6), trials=st.integers(2, 12), sessions=st.integers(12, 60))
@settings(deadline=None)
def test_overfitting_agrees_with_its_definition(seed, trials, sessions):
    returns = np.random.default_rng(seed).standard_normal((sessions, trials))
    for by in ("sharpe", "mean"):
        assert overfitting(returns, blocks=6, by=by) == pytest.approx(overfitting_slowly(returns, 6, by))


def test_worthless_trials_overfit_and_a_good_one_does_not():
    chance = np.random.default_rng(3)
    noise = [overfitting(chance.standard_normal((240, 20)), blocks=8) for _ in range(60)]
    assert np.mean(noise) == pytest.approx(0.5, abs=0.1)
    good = chance.standard_normal((240, 20))
    good[:, 4] += 1.0
    assert overfitting(good) == 0


def test_what_cannot_be_judged_is_refused_or_unknown():
    returns = np.random.default_rng(3).standard_normal((20, 3))
    assert overfitting(returns, blocks=16) is None
    for wrong in (returns[:, :1], np.where(returns > 1, np.nan, returns), returns[:, 0]):
        with pytest.raises(RowsDiffer, match="Give sessions x trials"):
            overfitting(wrong, blocks=4)
    with pytest.raises(BadEvaluation, match="even number"):
        overfitting(returns, blocks=5)
    with pytest.raises(BadEvaluation, match="Count every trial"):
        best_of(0, variance=1.0)
    with pytest.raises(BadEvaluation, match=r"between 0\.5 and 1"):
        least_record(Record(returns=10, sharpe=0.1), confidence=0.3)
