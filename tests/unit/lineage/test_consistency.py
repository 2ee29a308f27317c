"""S1-35, S1-67: what differs between the two latest snapshots of a target."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.lineage import LineageRefused, SnapshotFacts, UnknownTarget, check_feature_lineage_consistency
from quant_pipelines.lineage.consistency import TOLERATED

FIRST = SnapshotFacts(
    id="s0",
    target="demo",
    created_at=datetime(2024, 1, 2, tzinfo=UTC),
    cutoff=datetime(2024, 1, 2),
    tables={"prices": "p0", "alpha158": "a0"},
    columns=("KMID", "KLEN"),
    features={"KMID": "1", "KLEN": "1"},
    row_filter="csi300",
    label_set="direction3",
    normaliser="robust_zscore",
    fitted_normaliser="n0",
    code_version="c0",
    configuration="h0",
)
# What may change in a snapshot, and the key that must name it.
CHANGES = {
    "tables": {"tables": {"prices": "p0", "labels": "a0"}},
    "data_versions": {"tables": {"prices": "p1", "alpha158": "a0"}},
    "columns": {"columns": ("KLEN", "KMID")},
    "features": {"features": {"KMID": "2", "KLEN": "1"}},
    "row_filter": {"row_filter": "csi500"},
    "label_set": {"label_set": "dual"},
    "normaliser": {"normaliser": "none"},
    "fitted_normaliser": {"fitted_normaliser": "n1"},
    "code_version": {"code_version": "c1"},
    "configuration": {"configuration": "h1"},
    "cutoff": {"cutoff": datetime(2024, 1, 3)},
}


def later(facts, days=1, **changed):
    return replace(facts, id=f"{facts.id}+{days}", created_at=facts.created_at + timedelta(days=days), **changed)


def checked(*snapshots, strict=True, **asked):
    return check_feature_lineage_consistency(snapshots, strict=strict, **asked)


def test_equal_snapshots_are_consistent():
    """The control of all the others: two ids and two times differ always, and are no mismatch."""
    found = checked(FIRST, later(FIRST))["demo"]
    assert (found.consistent, found.compared, found.mismatch_keys) == (True, True, ())
    assert found.snapshots == ("s0", "s0+1")


@pytest.mark.parametrize("key", CHANGES)
def test_strictly_every_difference_is_a_mismatch(key):
    found = checked(FIRST, later(FIRST, **CHANGES[key]))["demo"]
    assert key in found.mismatch_keys
    # Another table is another data version too.
    assert set(found.mismatch_keys) <= {key, *(["data_versions"] if key == "tables" else [])}
    assert found.consistent is False


@pytest.mark.parametrize("key", CHANGES)
def test_otherwise_what_moves_with_time_is_tolerated_and_said(key):
    found = checked(FIRST, later(FIRST, **CHANGES[key]), strict=False)["demo"]
    assert (key in found.mismatch_keys) is (key not in TOLERATED)
    assert found.consistent is (key in TOLERATED)
    assert (key in [each.key for each in found.tolerated]) is (key in TOLERATED)


def test_a_mismatch_says_both_sides():
    (difference,) = checked(FIRST, later(FIRST, label_set="dual"))["demo"].mismatches
    assert (difference.older, difference.newer) == ("direction3", "dual")


def test_only_the_two_latest_are_compared_in_any_order():
    old = replace(FIRST, label_set="dual")
    found = checked(later(FIRST, 2), old, later(FIRST, 1))["demo"]
    assert found.snapshots == ("s0+1", "s0+2")
    assert found.consistent


def test_targets_are_never_compared_with_each_other():
    """S1-67: each target agrees with itself, and with nobody else."""
    other = replace(FIRST, id="o0", target="other", label_set="dual", columns=("x",))
    found = checked(FIRST, other, later(FIRST), later(other))
    assert {name: each.consistent for name, each in found.items()} == {"demo": True, "other": True}
    assert set(checked(FIRST, other, target="other")) == {"other"}
    broken = checked(FIRST, other, later(FIRST), later(other, label_set="direction3"))
    assert {name: each.mismatch_keys for name, each in broken.items()} == {"demo": (), "other": ("label_set",)}


def test_one_snapshot_is_no_evidence():
    """X-42."""
    found = checked(FIRST)["demo"]
    assert (found.compared, found.consistent) == (False, True)


@pytest.mark.parametrize("strict", [True, False])
def test_a_data_version_must_have_been_used_by_every_snapshot(strict):
    used = checked(FIRST, later(FIRST), strict=strict, data_version="p0")["demo"]
    assert used.consistent
    third = later(FIRST, -1, tables={"prices": "p9", "alpha158": "a0"})
    found = checked(FIRST, later(FIRST), third, strict=strict, data_version="p0")["demo"]
    assert found.mismatch_keys == ("data_version",)
    assert found.mismatches[0].newer == (third.id,)
    assert not checked(FIRST, strict=strict, data_version="p9")["demo"].consistent


def test_a_target_that_no_snapshot_has_is_refused():
    with pytest.raises(UnknownTarget, match=r"'demmo'. There are: demo"):
        checked(FIRST, target="demmo")
    with pytest.raises(UnknownTarget, match="none"):
        checked(target="demo")
    assert checked() == {}


def test_one_snapshot_given_twice_is_refused():
    """It would agree with itself."""
    with pytest.raises(LineageRefused, match="s0 were given more than once"):
        checked(FIRST, FIRST)


@given(st.sets(st.sampled_from(sorted(CHANGES))), st.booleans())
def test_the_keys_are_those_that_were_changed(keys, strict):
    changed: dict = {}
    for key in sorted(keys):
        changed |= CHANGES[key]
    expected = {name for name in keys if strict or name not in TOLERATED}
    if "tables" in keys:  # written last, so the data version change is lost unless strict sees it with the tables
        expected |= {"data_versions"} if strict else set()
    found = checked(FIRST, later(FIRST, **changed), strict=strict)["demo"]
    assert set(found.mismatch_keys) == expected
