"""The prefix check finds planted leaks, and nothing else."""

import numpy as np
import pytest

from quant_pipelines.features.alpha158.catalogue import LOOK_BACK_SESSIONS, NAMES
from quant_pipelines.features.alpha158.engine import compute
from quant_pipelines.features.expressions.evaluate import evaluate
from quant_pipelines.features.expressions.language import parse, parse_feature
from quant_pipelines.features.point_in_time import Sample, find_leaks, find_longer_reach


@pytest.fixture(scope="module")
def panel(market):
    return market(31, [260, 200, 90, 260, 30], flat=False)


def by_expression(text):
    return lambda panel: evaluate(parse(text), panel)


def centred_mean(panel):
    return evaluate(parse("(Ref($close, -2) + Ref($close, -1) + $close + Ref($close, 1) + Ref($close, 2)) / 5"), panel)


def full_sample_score(panel):
    close = panel.field("close").astype(np.float64)
    return (close - np.nanmean(close)) / np.nanstd(close)


LEAKS = {
    "tomorrow": by_expression("Ref($close, -1) / $close"),
    "a centred window": centred_mean,
    "a full-sample score": full_sample_score,
}


def leaks_of(feature, panel):
    sample, cuts = Sample(symbols=3, cuts=4, seed=7).of(panel)
    return list(find_leaks(feature, sample, np.atleast_2d(feature(sample)), ["feature"], cuts))


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_turns_the_check_red(leak, panel):
    found = leaks_of(LEAKS[leak], panel)
    assert found
    assert "feature of S000" in str(found[0])


@pytest.mark.parametrize("text", ["Mean($close, 5) / $close", "EMA($close, 12)", "Corr($close, $volume, 20)"])
def test_an_honest_feature_passes(text, panel):
    assert leaks_of(by_expression(text), panel) == []


def test_alpha158_passes(panel):
    sample, cuts = Sample(symbols=50, cuts=5, seed=1).of(panel)
    assert list(find_leaks(compute, sample, compute(sample), NAMES, cuts)) == []


def test_one_flipped_bit_in_the_table_is_found(panel):
    held = compute(panel)
    held[NAMES.index("MA5"), 40] = np.nextafter(held[NAMES.index("MA5"), 40], np.float32(9))
    cut = panel.sessions[200]
    (leak,) = find_leaks(compute, panel, held, NAMES, [cut])
    assert (leak.feature, leak.symbol, leak.session) == ("MA5", "S0000", panel.sessions[40])


def test_the_same_seed_takes_the_same_sample(panel):
    first, second = (Sample(symbols=2, cuts=3, seed=5).of(panel) for _ in range(2))
    assert first[0].symbols == second[0].symbols
    assert first[1] == second[1]
    assert max(first[1]) < panel.sessions.max()


def test_a_look_back_that_is_too_short_is_found_and_a_true_one_is_not(panel):
    assert find_longer_reach(compute, panel, NAMES, LOOK_BACK_SESSIONS) == []
    assert "ROC60" in find_longer_reach(compute, panel, NAMES, LOOK_BACK_SESSIONS - 1)
    five = by_expression("Mean($close, 5)")
    assert find_longer_reach(five, panel, ["mean"], 4) == []
    assert find_longer_reach(five, panel, ["mean"], 3) == ["mean"]
    assert parse_feature("Mean($close, 5)")
