"""What contributions say together: shares, families, direction, stability, single predictions in words."""

from datetime import UTC, datetime

import numpy as np
import pytest

from quant_pipelines.explain import Attributions, Parts, agreement, family_of, importances, stability
from quant_pipelines.explain.importance import column_impacts, family_impacts, session_blocks
from quant_pipelines.explain.local import Row, local_explanation
from quant_pipelines.features.alpha158.catalogue import FACTORS
from quant_pipelines.features.custom import custom_set, expression
from quant_pipelines.features.indicators.catalogue import INDICATORS
from quant_pipelines.features.indicators.engine import IndicatorSettings
from quant_pipelines.features.standard import indicators_set
from quant_pipelines.models import Task

SINCE = datetime(2026, 11, 21, tzinfo=UTC)
NAMES = ("a", "b", "c", "d")


def score_of(values: np.ndarray, base: float = 0.5) -> Attributions:
    """A score with these contributions (rows x columns)."""
    parts = Parts(method="made up", base=np.array([base]), values=values[:, None, :])
    predictions = base + values.sum(axis=1, keepdims=True)
    return Attributions(columns=NAMES[: values.shape[1]], predictions=predictions, parts=parts)


@pytest.fixture
def chance():
    return np.random.default_rng(2)


def test_shares_of_columns_and_of_families_add_up_to_one(chance):
    score = score_of(chance.standard_normal((50, 4)) * [4, 3, 2, 1])
    columns = column_impacts(score, chance.standard_normal((50, 4)).astype(np.float32), ["x", "y", "x", "y"])
    families = family_impacts(score, ["x", "y", "x", "y"])
    assert sum(each.share for each in columns) == pytest.approx(1)
    assert sum(each.share for each in families) == pytest.approx(1)
    assert [each.feature for each in columns] == ["a", "b", "c", "d"]
    assert {each.family: each.columns for each in families} == {"x": 2, "y": 2}
    of_x = sum(each.share for each in columns if each.family == "x")
    assert families[0].share == pytest.approx(of_x)


def test_columns_that_cancel_each_other_matter_little_together():
    up = np.linspace(-1, 1, 30)
    (family,) = family_impacts(score_of(np.stack([up, -up], axis=1)), ["same", "same"])
    assert family.importance == pytest.approx(0)
    assert family.share == pytest.approx(1)


def test_direction_says_whether_high_values_raise_the_score(chance):
    values = chance.standard_normal((80, 4)).astype(np.float32)
    values[:, 3] = 1
    values[:5, 0] = np.nan
    contributions = np.stack(
        [3 * np.nan_to_num(values[:, 0]), -(values[:, 1] ** 3), values[:, 2] ** 2, values[:, 0]], axis=1
    )
    contributions = np.nan_to_num(contributions)
    found = {each.feature: each.direction for each in column_impacts(score_of(contributions), values, ["f"] * 4)}
    assert found["a"] == pytest.approx(1)
    assert found["b"] == pytest.approx(-1)
    assert abs(found["c"]) < 0.4
    assert found["d"] is None


def test_a_model_that_looks_at_nothing_has_no_shares():
    found = column_impacts(score_of(np.zeros((9, 4))), np.ones((9, 4), np.float32), ["f"] * 4)
    assert [(each.share, each.direction) for each in found] == [(0.0, None)] * 4


def test_blocks_are_whole_sessions_in_their_order():
    sessions = np.array([4, 4, 1, 1, 2, 9, 9, 3])
    blocks = session_blocks(sessions, 3)
    assert [sorted(set(sessions[rows].tolist())) for rows in blocks] == [[1, 2], [3, 4], [9]]
    assert sorted(np.concatenate(blocks).tolist()) == list(range(8))
    assert len(session_blocks(sessions, 50)) == 5


def test_equal_rankings_are_stable_and_turned_ones_are_not(chance):
    steady = chance.standard_normal((100, 4)) * [8, 4, 2, 1]
    sessions, names = np.repeat(np.arange(10), 10), [f"day {number}" for number in range(10)]
    found = stability(score_of(steady), sessions, names, 5)
    assert (found.mean, found.least) == (pytest.approx(1), pytest.approx(1))
    assert [each.rows for each in found.folds] == [20] * 5
    assert (found.folds[0].first, found.folds[-1].last) == ("day 0", "day 9")
    turned = steady.copy()
    turned[50:] = steady[50:, ::-1]
    assert stability(score_of(turned), sessions, names, 2).least == pytest.approx(-1)


def test_stability_of_one_block_is_not_known():
    found = stability(score_of(np.ones((5, 4))), np.zeros(5, np.int64), ["day"], 5)
    assert (found.mean, found.least, len(found.folds)) == (None, None, 1)


def test_agreement_is_taken_over_all_pairs():
    a, b = np.array([1.0, 2, 3]), np.array([3.0, 2, 1])
    assert agreement([a, a, b]) == (pytest.approx(-1 / 3), pytest.approx(-1))
    assert agreement([a]) == (None, None)


def test_importance_is_the_mean_size():
    np.testing.assert_array_equal(importances(score_of(np.array([[1.0, -2, 0, 0], [-3, 2, 0, 0]]))), [2, 2, 0, 0])


def test_every_indicator_has_a_group():
    """S2-08..11; a new indicator needs a place."""
    settings = IndicatorSettings(sessions_per_year=250)
    families = {each.name: family_of(each.name, "indicators") for each in indicators_set(settings).features}
    assert set(families.values()) == {f"indicators: {each}" for each in ("trend", "momentum", "volume", "volatility")}
    assert families["macd_signal_12_26_9"] == "indicators: trend"
    assert families["williams_r_14"] == "indicators: momentum"
    assert families["obv"] == "indicators: volume"
    assert families["historical_volatility_20"] == "indicators: volatility"
    assert len(families) >= len(INDICATORS)


def test_every_factor_has_a_family_by_what_is_rolled():
    families = {each.name: family_of(each.name, "alpha158") for each in FACTORS}
    counts = {name: list(families.values()).count(name) for name in set(families.values())}
    assert counts.pop("alpha158: candle") == 9
    assert counts.pop("alpha158: price") == 4
    assert len(counts) == 29
    assert set(counts.values()) == {5}
    assert families["VSUMD60"] == "alpha158: VSUMD"


def test_own_features_are_a_family_and_strangers_are_not_guessed_at():
    names = custom_set(expression("pull_back", "$close", "Close.", SINCE)).names
    assert [family_of(each, "custom_features") for each in names] == ["custom_features"]
    assert family_of("ROC5", "custom_features") == "custom_features"
    assert family_of("pull_back", "custom_features_1878aa54") == "custom_features"
    assert family_of("rsi_6", "indicators_1878aa54") == "indicators: momentum"
    assert family_of("unheard_of", "alpha158") == "alpha158"
    assert family_of("unheard_of", "indicators") == "indicators"


def test_a_prediction_is_told_from_its_base_to_its_score():
    score = score_of(np.array([[0.003, -0.001, 0.0002, -0.0001]]), base=0.01)
    row = Row(
        symbol="X", session="2024-01-02", values=np.array([1.5, np.nan, 0, 2], np.float32), outputs=np.array([0.0121])
    )
    found = local_explanation(score, row, task=Task(), strongest=2)
    assert [(each.feature, each.value) for each in found.contributions] == [("a", 1.5), ("b", None)]
    told = found.base + sum(each.contribution for each in found.contributions) + found.rest + found.left
    assert told == pytest.approx(found.score, abs=1e-15)
    assert found.words == (
        "X, 2024-01-02: Forecast +1.210%, 0.210% above the +1.000% it starts from. Raised by a (1.5) +0.300%. "
        "Lowered by b (missing) -0.100%. All other columns together: +0.010%."
    )


def test_shapes_that_do_not_fit_are_refused():
    parts = Parts(method="", base=np.zeros(1), values=np.zeros((3, 1, 2)))
    with pytest.raises(ValueError, match="do not fit"):
        Attributions(columns=("a",), predictions=np.zeros((3, 1)), parts=parts)
