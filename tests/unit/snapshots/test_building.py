"""Snapshots hold what the lake held, and nothing that was not known (S1-33, S1-34, S2-103)."""

from contextlib import contextmanager
from datetime import datetime

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipelines.calendars import NotASession
from quant_pipelines.clock import FixedClock
from quant_pipelines.feature_tables import feature_schema
from quant_pipelines.lake import Window, no_fence
from quant_pipelines.lake.storage import LocalStore
from quant_pipelines.prices import SessionNotClosed
from quant_pipelines.snapshots import (
    FeaturesOutdated,
    HorizonTooLong,
    InputMissing,
    InputsDisagree,
    SnapshotStore,
    UnknownMembers,
    load,
)
from quant_pipelines.snapshots.failures import NothingToLearn
from tests.unit.snapshots.conftest import CUSTOM, LABELS, REGISTRY, SESSIONS, SPANS, WRITER, Scene, market, strategy

ALPHA = feature_schema(REGISTRY.sets[0])


def cells(scene, *columns):
    """Every value of the tables, by session and symbol: an oracle that looks cell by cell."""
    found = {}
    for schema in (ALPHA, feature_schema(CUSTOM)):
        wanted = [each for each in columns if each in schema.names]
        for row in scene.lake.table("tiny", schema).read(columns=["session", "symbol", *wanted]).to_pylist():
            key = row.pop("session"), row.pop("symbol")
            found.setdefault(key, {}).update(row)
    return found


def labels_of(scene, label_set):
    rows = scene.lake.table("tiny", LABELS).read()
    return {(r["session"], r["symbol"]): r for r in rows.filter(pc.equal(rows["label_set"], label_set)).to_pylist()}


def same(left, right):
    return left == right or (right is None and np.isnan(left)) or (np.isnan(left) and np.isnan(right))


@pytest.mark.parametrize("missing_bar", ["suspended", "gap"])
def test_the_block_holds_the_tables_cell_by_cell(tmp_path, missing_bar):
    scene = Scene(tmp_path, market(missing_bar=missing_bar)).publish()
    arrays = load(scene.store, scene.builder().build(strategy(), scene.sessions[-1]).document)
    found = cells(scene, *arrays.columns)
    for symbol, begin, end in zip(arrays.symbols, arrays.offsets, arrays.offsets[1:], strict=False):
        assert np.all(np.diff(arrays.session[begin:end]) == 1)
        for row in range(begin, end):
            key = arrays.axis[arrays.session[row]].item(), str(symbol)
            expected = found.get(key, dict.fromkeys(arrays.columns))
            assert all(
                same(value, expected[name]) for name, value in zip(arrays.columns, arrays.block[row], strict=True)
            )
    assert arrays.block.flags.c_contiguous
    assert arrays.block.dtype == np.float32
    assert set(found) >= {
        (arrays.axis[arrays.session[row]].item(), str(s)) for row, s in owned(arrays) if arrays.member[row]
    }


def owned(arrays):
    return [(row, arrays.symbols[arrays.symbol_of(np.array([row]))[0]]) for row in range(arrays.block.shape[0])]


@pytest.mark.parametrize("label_set", sorted(SPANS))
def test_samples_are_the_labels_that_had_closed_at_the_cutoff(published, label_set):
    """Only what could be bought, only what has a value, only what was resolved; every other row is counted."""
    cutoff = published.sessions[140]
    document = published.builder().build(strategy(label_set=label_set), cutoff).document
    arrays, known = load(published.store, document), labels_of(published, label_set)
    begin = published.sessions[140 - 119]
    expected = {
        key: row
        for key, row in known.items()
        if row["resolves"] <= cutoff and key[0] >= begin and row["value"] is not None and row["buyable"] is not False
    }
    keys = [
        (arrays.axis[arrays.session[row]].item(), str(arrays.symbols[arrays.symbol_of(np.array([row]))[0]]))
        for row in arrays.samples
    ]
    assert keys == sorted(expected)
    assert arrays.labels.value.tolist() == [expected[key]["value"] for key in keys]
    assert [arrays.axis[at].item() for at in arrays.labels.resolves] == [expected[key]["resolves"] for key in keys]
    assert (arrays.labels.returns is not None) == (label_set == "dual")
    assert (arrays.labels.direction is None) == (label_set == "qlib_return")
    if label_set == "dual":
        assert arrays.labels.returns[0].tolist() == [expected[keys[0]][f"return_{n}"] for n in range(1, 6)]
    assert document.outcome.samples + sum(document.outcome.left_out.values()) == int(arrays.member.sum())


def test_rows_that_could_not_be_bought_may_be_kept(published):
    cutoff = published.sessions[-1]
    keep = strategy(training={"window": {"sessions": 120}, "untradable": "keep"})
    kept, left = (published.builder().build(each, cutoff).document.outcome for each in (keep, strategy()))
    assert kept.samples == left.samples + left.left_out["could not be bought"]
    assert kept.left_out["could not be bought"] == 0
    assert left.left_out["could not be bought"] > 0


def test_building_twice_writes_nothing(scene):
    first = scene.builder().build(strategy(), scene.sessions[-1])
    files = {path: path.stat().st_mtime_ns for path in scene.folder.rglob("*") if path.is_file()}
    again = scene.builder().build(strategy(), scene.sessions[-1])
    assert (first.made, again.made) == (True, False)
    assert again.document == first.document
    assert {path: path.stat().st_mtime_ns for path in scene.folder.rglob("*") if path.is_file()} == files


@settings(max_examples=12)
@given(
    st.permutations(["custom_features", "KMID", "KLEN"]),
    st.permutations(["600000.SH", "600001.SH", "600003.SH"]),
    st.integers(1, 3),
)
def test_equal_inputs_in_any_order_have_one_id(tmp_path_factory, published, features, symbols, threads):
    def built(features, symbols, threads):
        store = SnapshotStore(LocalStore(tmp_path_factory.mktemp("store")), threads=threads)
        chosen = strategy(features=features, universe={"symbols": symbols}, normalisation={"kind": "standard"})
        return published.builder(store=store, threads=threads).build(chosen, published.sessions[-1]).document.id

    usual = built(["custom_features", "KMID", "KLEN"], ["600000.SH", "600001.SH", "600003.SH"], 2)
    assert built(features, symbols, threads) == usual


def test_rows_written_in_another_order_and_compacted_have_the_same_id(tmp_path, published):
    other = Scene(tmp_path)
    other.publish_prices()
    for schema in (ALPHA, feature_schema(CUSTOM), LABELS):
        rows = published.lake.table("tiny", schema).read()
        table = other.lake.table("tiny", schema)
        shuffled = rows.take(np.random.default_rng(1).permutation(rows.num_rows))
        for begin in range(0, SESSIONS, 7):
            window = Window(other.sessions[begin], other.sessions[min(begin + 6, SESSIONS - 1)])
            inside = pc.and_(
                pc.greater_equal(shuffled["session"], window.first), pc.less_equal(shuffled["session"], window.last)
            )
            table.replace(shuffled.filter(inside), window=window, writer=WRITER, fence=no_fence)
        table.compact()
    ids = [each.builder().build(strategy(), each.sessions[-1]).document.id for each in (published, other)]
    assert ids[0] == ids[1]


def test_the_future_changes_nothing_in_a_snapshot(tmp_path):
    """The same cutoff, before and after later sessions arrived: the same arrays, since nothing later is read."""
    scene = Scene(tmp_path)
    scene.publish_prices()
    scene.publish_features()
    scene.publish_labels(through=120)
    early = scene.builder().build(strategy(), scene.sessions[120]).document
    scene.publish_labels()
    late = scene.builder().build(strategy(), scene.sessions[120]).document
    assert early.outcome == late.outcome


def median_distance(values, axis):
    return 1.4826 * np.nanmedian(np.abs(values - np.nanmedian(values, axis=axis)), axis=axis)


@pytest.mark.parametrize(
    ("kind", "centre", "spread"),
    [
        ("standard", np.nanmean, np.nanstd),
        (
            "robust",
            np.nanmedian,
            lambda x, axis: 1.4826 * np.nanmedian(np.abs(x - np.nanmedian(x, axis=axis)), axis=axis),
        ),
    ],
)
def test_the_scale_is_fitted_on_the_training_part_alone(published, kind, centre, spread):
    scaled = strategy(normalisation={"kind": kind, "clip": 2, "missing": "centre"})
    documents = [published.builder().build(each, published.sessions[-1]).document for each in (strategy(), scaled)]
    raw, block = (load(published.store, each) for each in documents)
    part = documents[1].outcome.split.train
    labels = raw.axis[raw.session]
    inside = raw.member & (labels >= np.datetime64(part.first)) & (labels <= np.datetime64(part.last))
    fitted = raw.block[inside].astype(float)
    c, s = (f(fitted, axis=0).astype(np.float32) for f in (centre, spread))
    expected = np.nan_to_num(np.clip((raw.block - c) / s, -2, 2), nan=0.0)
    np.testing.assert_allclose(block.block, expected, atol=2e-6)
    assert documents[1].outcome.normaliser.rows == int(inside.sum())


def test_the_split_puts_gaps_between_training_validation_and_holdout(published):
    """X-18: no label of an earlier part is resolved after a later part begins."""
    document = published.builder().build(strategy(label_set="dual"), published.sessions[-1]).document
    arrays = load(published.store, document)
    train, validation, holdout = (arrays.part(name) for name in ("train", "validation", "holdout"))
    session = arrays.session[arrays.samples]
    for before, after in ((train, validation), (validation, holdout)):
        assert before.size
        assert arrays.labels.resolves[before].max() < session[after].min()
    assert session[holdout].max() == session.max()


def test_too_few_sessions_for_a_holdout_are_said_so(published):
    """X-19."""
    short = strategy(training={"window": {"sessions": 30}}, normalisation={"kind": "standard"})
    document = published.builder().build(short, published.sessions[-1]).document
    assert document.outcome.split.status == "insufficient_observation"
    assert "40 are the least" in document.outcome.split.reason
    assert "whole window" in document.outcome.normaliser.fitted_on
    assert load(published.store, document).part("train").size == 0


def test_an_index_counts_its_members_by_date(tmp_path):
    file = tmp_path / "universe.csv"
    file.write_text(
        "symbol,listed,delisted,index,member_from,member_to\n"
        "600000.SH,2015-01-05,,big,2023-03-01,2023-06-30\n"
        "600001.SH,2015-01-05,,big,2023-05-04,\n"
        "600003.SH,2015-01-05,,small,,\n"
    )
    scene = Scene(tmp_path, market(universe={"file": file})).publish()
    arrays = load(scene.store, scene.builder().build(strategy(universe={"index": "big"}), scene.sessions[-1]).document)
    member = {(arrays.axis[arrays.session[row]].item(), str(name)) for row, name in owned(arrays) if arrays.member[row]}
    by_symbol = {name: [day for day, owner in member if owner == name] for name in ("600000.SH", "600001.SH")}
    assert {owner for _, owner in member} == {"600000.SH", "600001.SH"}
    assert max(by_symbol["600000.SH"]) == datetime(2023, 6, 30)
    assert min(by_symbol["600001.SH"]) == datetime(2023, 5, 4)
    with pytest.raises(UnknownMembers, match=r"knows no index 'bigg'\. It has: big, small"):
        scene.builder().build(strategy(universe={"index": "bigg"}), scene.sessions[-1])


def test_a_holiday_is_refused_with_its_neighbours(published):
    with pytest.raises(NotASession, match="nearest are 2023-04-28 and 2023-05-04"):
        published.builder().build(strategy(), datetime(2023, 5, 1))


def test_a_session_that_has_not_closed_is_refused(published):
    early = FixedClock(datetime.fromisoformat("2023-05-04T01:00:00+00:00"))
    with pytest.raises(SessionNotClosed):
        published.builder(clock=early).build(strategy(), datetime(2023, 5, 4))


def test_a_horizon_longer_than_the_data_is_refused(published):
    with pytest.raises(HorizonTooLong, match="closes 5 sessions after its signal, but its window has 5 sessions"):
        published.builder().build(strategy(label_set="dual"), published.sessions[4])
    published.builder().build(strategy(label_set="dual"), published.sessions[5])


def test_labels_that_should_be_there_and_are_not_are_refused(tmp_path):
    scene = Scene(tmp_path)
    scene.publish_prices()
    scene.publish_features()
    with pytest.raises(InputMissing, match="tiny/labels does not exist"):
        scene.builder().build(strategy(), scene.sessions[-1])
    scene.publish_labels(through=100)
    with pytest.raises(InputMissing, match="tiny/labels has no rows for 20 sessions") as refusal:
        scene.builder().build(strategy(), scene.sessions[120])
    assert refusal.value.code == "QP285"


def test_a_hole_in_a_feature_table_is_refused(scene):
    hole = Window(scene.sessions[60], scene.sessions[61])
    table = scene.lake.table("tiny", ALPHA)
    table.replace(table.schema.arrow.empty_table(), window=hole, writer=WRITER)
    with pytest.raises(InputMissing, match="tiny/alpha158 has no rows for 2 sessions"):
        scene.builder().build(strategy(), scene.sessions[-1])


def test_tables_with_other_rows_are_refused(scene):
    """S2-73."""
    table = scene.lake.table("tiny", feature_schema(CUSTOM))
    day = Window(scene.sessions[80], scene.sessions[80])
    table.replace(table.read(day).slice(1), window=day, writer=WRITER)
    with pytest.raises(InputsDisagree, match=rf"lacks 600000\.SH in {scene.sessions[80]:%Y-%m-%d}, alpha158 has"):
        scene.builder().build(strategy(), scene.sessions[-1])


def test_features_of_other_prices_are_refused_until_they_are_made_again(scene):
    """S2-73: a restated bar reaches every feature that looked back at it."""
    trained = scene.builder().build(strategy(), scene.sessions[-1]).document
    scene.bars["close"][100] *= 1.001
    scene.publish_prices()
    restated = f"{scene.sessions[100]:%Y-%m-%d}"
    for asked in (
        lambda: scene.builder().build(strategy(), scene.sessions[-1]),
        lambda: scene.builder().infer(trained, scene.sessions[101]),
    ):
        with pytest.raises(FeaturesOutdated, match=r"sessions of tiny/\w+ that the snapshot needs") as refusal:
            asked()
        assert refusal.value.code == "QP288"
    with pytest.raises(FeaturesOutdated, match=f"Materialise tiny/alpha158 for {restated} to .* first"):
        scene.builder().build(strategy(features=["KMID"]), scene.sessions[-1])
    # What lies before the restated bar, and what was frozen, is as good as ever.
    scene.builder().build(strategy(training={"window": {"sessions": 60}}), scene.sessions[99])
    scene.builder().serve_again(trained, scene.sessions[101])
    scene.publish_features()
    assert scene.builder().build(strategy(), scene.sessions[-1]).document.id != trained.id


def test_a_mistyped_symbol_is_refused(published):
    with pytest.raises(UnknownMembers, match=r"chooses 600009\.SH"):
        published.builder().build(strategy(universe={"symbols": ["600009.SH", "600001.SH"]}), published.sessions[-1])


def test_nothing_to_learn_from_is_refused(tmp_path):
    scene = Scene(tmp_path, symbols=3)
    scene.bars["close"][80:, 0] = np.nan
    for name in ("open", "high", "low", "volume", "vwap"):
        scene.bars[name][80:, 0] = np.nan
    scene.publish()
    alone = strategy(universe={"symbols": ["600000.SH"]}, training={"window": {"sessions": 20}})
    with pytest.raises(NothingToLearn, match="label absent: suspended: 1"):
        scene.builder().build(alone, scene.sessions[-1])


def test_a_run_that_is_over_freezes_nothing(scene):
    """R2: the fence is entered around the one write that makes a snapshot visible."""

    class RunIsOver(Exception):
        pass

    @contextmanager
    def closed():
        raise RunIsOver
        yield

    with pytest.raises(RunIsOver):
        scene.builder(fence=closed).build(strategy(), scene.sessions[-1])
    assert list(scene.store.documents()) == []
