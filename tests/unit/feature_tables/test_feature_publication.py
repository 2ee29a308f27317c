"""Feature tables: what is published, what is left alone, and that the past does not change."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quant_pipelines.clock import SystemClock
from quant_pipelines.feature_tables import FactorsMixed, Memory, feature_schema, judge_features, price_panel
from quant_pipelines.feature_tables import publish as publishing
from quant_pipelines.features.alpha158.catalogue import NAMES
from quant_pipelines.features.custom import custom_set, expression, function
from quant_pipelines.features.indicators.engine import IndicatorSettings
from quant_pipelines.features.registry import FeatureKind, FeatureSet
from quant_pipelines.features.standard import alpha158_set, indicators_set
from quant_pipelines.journal import sqlite_url
from quant_pipelines.lake import Window, Writer, no_fence
from quant_pipelines.lake.tables import PRICES
from quant_pipelines.lineage import Lineage

SINCE = datetime(2026, 1, 2, tzinfo=UTC)
ALPHA158 = alpha158_set()
INDICATORS = indicators_set(IndicatorSettings(sessions_per_year=243))
CUSTOM = custom_set(expression("pull_back", "$close / Max($high, 20) - 1", "Close against the highest high.", SINCE))
SETS = (ALPHA158, INDICATORS, CUSTOM)
LAST = 139
WRITER = Writer("test")


def by_name(features):
    return features.name


@pytest.mark.parametrize("features", SETS, ids=by_name)
def test_every_row_of_prices_has_a_row_of_features(scene, features):
    scene.arrive()
    published = scene.publish(features)
    prices = scene.lake.table("tiny", PRICES).read(columns=["session", "symbol"])
    rows = scene.publisher(features).table.read()
    assert rows.select(["session", "symbol"]).equals(prices)
    assert published.computed == scene.traded()
    assert rows.column_names == ["session", "symbol", *features.names, "made_from"]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**31),
    missing_bar=st.sampled_from(["suspended", "gap"]),
    cuts=st.sets(st.integers(1, LAST), max_size=6),
    features=st.sampled_from(SETS),
)
def test_features_published_piece_by_piece_as_prices_arrive_are_those_published_at_once(
    scenes, seed, missing_bar, cuts, features
):
    """Append equals full, and the past does not change when the future arrives: the same content ids."""
    pieces, whole = scenes(seed, missing_bar), scenes(seed, missing_bar)
    bounds = [0, *sorted(cuts), LAST + 1]
    for first, end in pairwise(bounds):
        pieces.arrive(first, end - 1)
        pieces.publish(features, first, end - 1)
    whole.arrive()
    whole.publish(features)
    assert pieces.publisher(features).table.session_ids() == whole.publisher(features).table.session_ids()


def test_neither_threads_nor_parts_nor_chunks_change_a_bit(scenes, monkeypatch):
    at_once, in_parts = scenes(5, "suspended"), scenes(5, "suspended")
    at_once.arrive()
    at_once.publish(ALPHA158)
    in_parts.arrive()
    monkeypatch.setattr(publishing, "PART_ROWS", 200)
    monkeypatch.setattr(publishing, "CHUNK_BYTES", 4 * 158 * 5 * 30)
    publisher = in_parts.publisher(ALPHA158, threads=2)
    assert len(publisher.chunks(in_parts.all)) == 5
    for chunk in publisher.chunks(in_parts.all):
        in_parts.publish(ALPHA158, in_parts.sessions.index(chunk.first), in_parts.sessions.index(chunk.last), threads=2)
    assert publisher.table.session_ids() == at_once.publisher(ALPHA158).table.session_ids()


def test_memory_that_is_used_again_changes_no_bit_and_overwrites_nothing_of_the_same_publication(scenes):
    """The middle is there already, so the rest is computed as two spans at once, into memory that held the middle."""
    fresh, again = scenes(5, "suspended"), scenes(5, "suspended")
    fresh.arrive()
    fresh.publish(ALPHA158)
    again.arrive()
    publisher = again.publisher(ALPHA158, memory=Memory())
    middle = Window(again.sessions[5], again.sessions[130])
    for window in (middle, again.all):
        published = publisher.publish(window, writer=WRITER, fence=no_fence)
    assert len(published.commits) == 2
    assert publisher.table.session_ids() == fresh.publisher(ALPHA158).table.session_ids()
    stored = [publisher.table.read(part) for part in (Window(again.sessions[0], again.sessions[4]),
                                                      Window(again.sessions[131], again.sessions[-1]))]  # fmt: skip
    for name in NAMES:
        np.testing.assert_array_equal(published.rows[name].to_numpy(), pa.concat_tables(stored)[name].to_numpy())


def test_the_engine_and_the_table_agree(scene):
    """The table is the engine's output on each symbol's own rows, without the suspended sessions."""
    scene.arrive()
    scene.publish(ALPHA158)
    rows = scene.publisher(ALPHA158).table.read(symbols=["S1"])
    prices = scene.lake.table("tiny", PRICES).read(symbols=["S1"])
    panel = price_panel(prices, scene.sessions[scene.sessions.index(prices["session"][0].as_py()) :])
    expected = ALPHA158.published(panel.panel)[:, panel.places]
    held = np.stack([rows[name].to_numpy() for name in NAMES])
    np.testing.assert_array_equal(held, expected)
    assert np.isnan(held[:, np.isnan(prices["close"].to_numpy())]).all()


@pytest.mark.parametrize("features", SETS, ids=by_name)
def test_what_is_fresh_is_not_computed_again(scene, features):
    scene.arrive()
    scene.publish(features)
    again = scene.publish(features)
    assert again.computed == []
    assert again.commits == []


def test_a_corrected_bar_makes_exactly_the_sessions_stale_that_look_back_on_it(scene):
    scene.arrive()
    for features in SETS:
        scene.publish(features)
    scene.bars["close"][50] *= 1.01
    scene.arrive(50, 50)
    assert scene.publish(ALPHA158).computed == scene.traded(50, 110)
    assert scene.publish(CUSTOM).computed == scene.traded(50, 69)
    assert scene.publish(INDICATORS).computed == scene.traded(50)


def test_another_definition_makes_everything_stale(scene):
    scene.arrive()
    scene.publish(ALPHA158)
    revised = replace(ALPHA158, features=tuple(replace(each, revision=2) for each in ALPHA158.features))
    assert scene.publish(revised).computed == scene.traded()


def test_a_later_dividend_changes_no_earlier_value(scenes):
    scene = scenes(9, "suspended")
    scene.arrive(0, 99)
    scene.publish(INDICATORS, 0, 99)
    before = scene.publisher(INDICATORS).table.session_ids()
    scene.bars["factor"][100:] *= 2
    scene.arrive(100, LAST)
    scene.publish(INDICATORS)
    after = scene.publisher(INDICATORS).table.session_ids(Window(scene.sessions[0], scene.sessions[99]))
    assert before == after


def test_a_session_that_lost_its_prices_loses_its_features(scene):
    scene.arrive()
    scene.publish(CUSTOM)
    scene.listed[120] = False
    scene.arrive(120, 120)
    scene.publish(CUSTOM)
    assert scene.sessions[120] not in scene.publisher(CUSTOM).table.session_ids()


def test_a_damaged_file_is_computed_anew_and_said(scene):
    """S2-80: a cache that cannot be read is no cache; nothing is served from it and nothing is lost."""
    scene.arrive()
    scene.publish(CUSTOM)
    ids = scene.publisher(CUSTOM).table.session_ids()
    file = next((scene.folder / "lake" / "tiny").glob("custom_features_*/period=2023-03/*.parquet"))
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 0x10
    file.write_bytes(bytes(data))
    published = scene.publish(CUSTOM)
    assert file.name in published.damaged
    assert scene.publisher(CUSTOM).table.session_ids() == ids
    assert scene.publisher(CUSTOM).table.verify() == []


def test_a_symbol_with_factors_for_some_sessions_only_is_refused(scenes):
    scene = scenes(11, "suspended")
    traded = np.flatnonzero(~np.isnan(scene.bars["close"][:, 0]) & scene.listed[:, 0])
    scene.bars["factor"][traded[-1], 0] = np.nan
    scene.arrive()
    with pytest.raises(FactorsMixed, match="S0 has adjustment factors, but none for"):
        scene.publish(ALPHA158)
    scene.bars["factor"][:, 0] = np.nan
    scene.arrive()
    assert scene.publish(ALPHA158).computed


def leaking(name, compute):
    """A set that nobody proved, as a mistake in an engine would be."""
    feature = function(
        name, compute, inputs=("close",), look_back_sessions=5, sentence="A leak.", created_at=SINCE
    ).feature
    return FeatureSet(name=FeatureKind.CUSTOM, features=(feature,), compute=lambda panel: compute(panel)[None, :])


def per_symbol(panel, transform):
    out = np.full(panel.rows, np.nan)
    for begin, end in zip(panel.offsets[:-1], panel.offsets[1:], strict=True):
        out[begin:end] = transform(panel.field("close")[begin:end])
    return out


def tomorrow(panel):
    return per_symbol(panel, lambda close: np.append(close[1:], np.nan))


def centred_mean(panel):
    return per_symbol(panel, lambda close: np.convolve(np.nan_to_num(close), np.ones(5) / 5, "same"))


def full_sample_score(panel):
    return per_symbol(panel, lambda close: (close - np.nanmean(close)) / np.nanstd(close))


def yesterday(panel):
    return per_symbol(panel, lambda close: np.append(np.nan, close[:-1]))


def broken_rules(scene, features, seed=1):
    judged = judge_features(scene.publisher(features), scene.all, seed=seed)
    return {each.rule.name: each.broken for each in judged if each.broken is not None}


@pytest.mark.parametrize("leak", [tomorrow, centred_mean, full_sample_score])
def test_a_planted_leak_turns_the_check_red(scenes, leak):
    scene = scenes(2, "suspended")
    scene.arrive()
    features = leaking(leak.__name__, leak)
    scene.publish(features)
    broken = broken_rules(scene, features)
    assert "past_does_not_change" in broken
    assert broken["past_does_not_change"].examples[0]["feature"] == leak.__name__


def test_what_looks_back_only_stays_green(scenes):
    scene = scenes(2, "suspended")
    scene.arrive()
    features = leaking("yesterday", yesterday)
    scene.publish(features)
    assert "past_does_not_change" not in broken_rules(scene, features)


@pytest.mark.parametrize("features", SETS, ids=by_name)
def test_the_standard_tables_pass_their_checks(scene, features):
    scene.arrive()
    scene.publish(features)
    assert broken_rules(scene, features) == {}


def test_rows_that_fell_out_columns_that_are_empty_and_thin_sessions_are_told(scene):
    scene.arrive()
    nothing = leaking("nothing", lambda panel: np.full(panel.rows, np.nan))
    scene.publish(nothing)
    broken = broken_rules(scene, nothing)
    assert broken["no_empty_column"].examples == [{"column": "nothing"}]
    assert "coverage" in broken
    table = scene.publisher(nothing).table
    day = Window(scene.sessions[60], scene.sessions[60])
    table.replace(table.read(day).slice(1), window=day, writer=publishing.Writer("somebody"))
    assert "shape" in broken_rules(scene, nothing)


def test_a_tampered_value_is_not_what_was_known(scenes):
    scene = scenes(4, "suspended")
    scene.arrive()
    scene.publish(CUSTOM)
    table = scene.publisher(CUSTOM).table
    rows = table.read()
    values = np.nextafter(rows["pull_back"].to_numpy(), np.float32(9))
    table.replace(rows.set_column(2, "pull_back", pa.array(values)), window=scene.all, writer=publishing.Writer("x"))
    assert "past_does_not_change" in broken_rules(scene, CUSTOM)


def test_a_users_columns_are_part_of_the_tables_name():
    other = custom_set(expression("other", "$close / $open", "A ratio.", SINCE))
    assert feature_schema(CUSTOM).name != feature_schema(other).name
    assert feature_schema(ALPHA158).name == "alpha158"
    assert feature_schema(INDICATORS).name == "indicators"
    three = indicators_set(IndicatorSettings(sessions_per_year=243, windows={"rsi": ((6,), (12,), (24,))}))
    assert feature_schema(three).name.startswith("indicators_")


@pytest.mark.parametrize("features", SETS, ids=by_name)
def test_lineage_names_exactly_the_sessions_that_a_corrected_bar_makes_stale(scene, features):
    """Recorded before the bar changed, and compared with what is computed anew after it did."""
    lineage = Lineage(sqlite_url(scene.folder / "journal.db"), clock=SystemClock())
    scene.arrive()
    publisher = scene.publisher(features)
    for window in (Window(scene.sessions[0], scene.sessions[79]), scene.all):
        publisher.publish(window, writer=WRITER, fence=no_fence, record=lineage.record)
    bar = scene.traded(50)[0]
    found = lineage.dependents("tiny", bar, table="prices")
    scene.bars["close"][scene.sessions.index(bar)] *= 1.01
    scene.arrive(scene.sessions.index(bar), scene.sessions.index(bar))
    assert sorted(each.session for each in found.contents) == scene.publish(features).computed


def test_a_record_that_was_lost_fills_again(scene):
    scene.arrive()
    scene.publish(CUSTOM)
    lineage = Lineage(sqlite_url(scene.folder / "journal.db"), clock=SystemClock())
    made = scene.publisher(CUSTOM).publish(scene.all, writer=WRITER, fence=no_fence, record=lineage.record)
    assert made.computed == []
    first, *_rest, last = scene.traded()
    assert last in {each.session for each in lineage.dependents("tiny", last, table="prices").contents}
    assert first in {each.session for each in lineage.dependents("tiny", first, table="prices").contents}
