"""One table of features for training and serving, and users' own features in it."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from quant_pipelines.features.custom import custom_set, expression, function, probe, prove
from quant_pipelines.features.expressions.language import LooksAhead
from quant_pipelines.features.indicators.engine import IndicatorSettings
from quant_pipelines.features.registry import Feature, FeatureKind, FeatureRefused, FeatureRegistry
from quant_pipelines.features.standard import alpha158_set, indicators_set

SINCE = datetime(2026, 1, 2, tzinfo=UTC)


def pull_back(text="$close / Max($high, 20) - 1"):
    return expression("pull_back", text, "Close against the highest high of 20 sessions.", SINCE)


def gap(panel):
    before = np.append(np.nan, panel.field("close")[:-1])
    before[panel.offsets[:-1]] = np.nan
    return panel.field("open") / before - 1


def written(compute, look_back_sessions=1, name="gap"):
    sentence = "Open against the close before."
    return function(
        name,
        compute,
        inputs=("open", "close"),
        look_back_sessions=look_back_sessions,
        sentence=sentence,
        created_at=SINCE,
    )


@pytest.fixture(scope="module")
def registry():
    settings = IndicatorSettings(sessions_per_year=243)
    return FeatureRegistry([alpha158_set(), indicators_set(settings), custom_set(pull_back(), written(gap))])


def test_the_registry_is_one_table_of_all_features(registry):
    """S2-89: feature_name, feature_type, calculation_method, dependencies, update_frequency, version, created_at."""
    table = registry.table()
    assert table.num_rows == len(registry) == 158 + 27 + 2
    assert {
        "feature_name",
        "feature_type",
        "calculation_method",
        "dependencies",
        "update_frequency",
        "version",
        "created_at",
    } <= set(table.column_names)
    row = table.filter(np.array(table["feature_name"]) == "MA5").to_pylist()[0]
    assert row["calculation_method"] == "Mean($close, 5)/$close"
    assert row["dependencies"] == ["close"]
    assert row["look_back_sessions"] == 4
    assert row["update_frequency"] == "session"


def test_every_set_computes_as_many_rows_as_it_names(registry, market):
    panel = market(4, [90, 30])
    for group in registry.sets:
        assert group.compute(panel).shape == (len(group.names), panel.rows)


def test_the_look_back_of_a_set_is_its_longest(registry):
    alpha158, indicators, custom = registry.sets
    assert alpha158.look_back_sessions == 60
    assert indicators.look_back_sessions is None
    assert custom.look_back_sessions == 19


def test_published_factors_are_masked_on_suspended_sessions(registry, market):
    panel = market(5, [120], suspended=0.2)
    for group in registry.sets:
        assert np.isnan(group.published(panel)[:, panel.suspended]).all()
    assert not np.isnan(registry.sets[0].compute(panel)[:, panel.suspended]).all()


def test_levels_are_published_in_the_money_and_shares_of_their_session(registry, market):
    panel = market(6, [120], suspended=0)
    scaled = replace(panel, values=panel.values.astype(np.float64), factor=np.linspace(1, 3, panel.rows))
    indicators = registry.sets[1]
    plain, published = indicators.compute(scaled), indicators.published(scaled)
    sma, obv, rsi = (indicators.names.index(name) for name in ("sma_5", "obv", "rsi_14"))
    np.testing.assert_allclose(published[sma], plain[sma] / scaled.factor, rtol=1e-6)
    np.testing.assert_allclose(published[obv], plain[obv] * scaled.factor, rtol=1e-6)
    np.testing.assert_allclose(published[rsi], plain[rsi], rtol=1e-6)


def test_another_definition_is_another_version_and_the_same_one_is_not():
    assert pull_back().feature.version == pull_back().feature.version
    assert pull_back().feature.version != pull_back("$close / Max($high, 21) - 1").feature.version


def test_serving_refuses_a_model_that_was_trained_on_other_definitions(registry):
    trained = registry.versions(["MA5", "pull_back"])
    assert registry.require(trained) is registry
    changed = FeatureRegistry([alpha158_set(), custom_set(pull_back("$close / Max($high, 21) - 1"))])
    with pytest.raises(FeatureRefused, match=r"pull_back was .* in training and is .* now"):
        changed.require(trained)
    with pytest.raises(FeatureRefused, match="is nothing now"):
        FeatureRegistry([alpha158_set()]).require(trained)


def test_a_name_is_taken_once():
    with pytest.raises(FeatureRefused, match="Rename one"):
        FeatureRegistry([alpha158_set(), custom_set(written(gap, name="MA5"))])


def feature(**changes):
    usual = {
        "name": "x",
        "kind": FeatureKind.CUSTOM,
        "definition": "d",
        "inputs": ("close",),
        "look_back_sessions": 0,
        "sentence": "s",
        "created_at": SINCE,
    }
    return Feature(**(usual | changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "no name"}, "no column name"),
        ({"inputs": ("price",)}, "price"),
        ({"inputs": ()}, "nothing"),
        ({"look_back_sessions": -1}, "0 is the least"),
        ({"created_at": datetime(2026, 1, 1)}, "no time zone"),
    ],
)
def test_a_row_that_cannot_be_is_refused(changes, reason):
    with pytest.raises(FeatureRefused, match=reason):
        feature(**changes)
    assert feature().version


def test_a_custom_expression_is_computed_by_the_kernels():
    """S2-32: a feature defined by a user."""
    panel = probe()
    group = custom_set(pull_back())
    high, close = panel.singles("high").astype(float), panel.singles("close").astype(float)
    expected = close[40] / np.nanmax(high[21:41]) - 1
    assert group.compute(panel)[0, 40] == pytest.approx(expected, rel=1e-6)


def tomorrow(panel):
    return np.append(panel.field("close")[1:], np.nan)


def full_sample(panel):
    return panel.field("close") - np.nanmean(panel.field("close"))


@pytest.mark.parametrize("leak", [tomorrow, full_sample])
def test_a_function_that_sees_the_future_is_refused(leak):
    with pytest.raises(LooksAhead, match="belongs into a label set"):
        prove(written(leak, look_back_sessions=None))
    with pytest.raises(LooksAhead):
        custom_set(written(leak, look_back_sessions=None)).compute(probe())
    assert custom_set(written(gap)).names == ("gap",)


def test_a_function_that_reads_further_back_than_it_says_is_refused():
    with pytest.raises(FeatureRefused, match="looks back 0 sessions, but reads older"):
        prove(written(gap, look_back_sessions=0))


def test_a_function_that_returns_another_shape_is_refused():
    with pytest.raises(FeatureRefused, match="one value per row"):
        prove(written(lambda panel: panel.values))
