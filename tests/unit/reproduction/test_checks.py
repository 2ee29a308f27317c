"""When two numbers are the same, and when the machine says that bits may differ."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.deployment import decide
from quant_pipelines.reproduction import agreement
from quant_pipelines.reproduction.checks import check, decision_checks, evidence_checks
from quant_pipelines.strategies import Deployment
from quant_pipelines.training import surroundings, surroundings_of
from quant_pipelines.training.surroundings import Surroundings, processor
from tests.judged import evidence, gain
from tests.stored import manifest

NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
TOLERANCES = st.floats(0, 0.1)
HERE = Surroundings(code_version="abc", libraries={"numpy": "2"}, processor="a chip")


@given(NUMBERS, NUMBERS, TOLERANCES)
def test_agreement_does_not_depend_on_who_was_first_and_never_shrinks_with_the_tolerance(one, other, tolerance):
    """S1-31."""
    found = agreement(one, other, tolerance)
    assert found == agreement(other, one, tolerance)
    assert (found == "same") is (one == other)
    if found != "different":
        assert agreement(one, other, tolerance * 2) != "different"
    if one is None or other is None:
        assert found != "within"


@given(st.floats(0.001, 1e6), st.floats(1e-9, 1e-3))
def test_the_tolerance_is_a_share_of_the_larger_number(value, tolerance):
    assert agreement(value, value * (1 + tolerance / 2), tolerance) == "within"
    assert agreement(value, value * (1 + tolerance * 2), tolerance) == "different"


def test_what_is_no_number_differs_from_every_number_and_from_no_other_of_its_kind():
    assert check("holdout", "f1", None, math.nan).outcome == "same"
    assert check("holdout", "f1", 0.5, math.inf, tolerance=1.0).outcome == "different"
    assert check("holdout", "status", "ok", "champion_overlap").outcome == "different"
    assert check("holdout", "status", "ok", None).outcome == "different"


def test_every_value_that_was_found_out_is_compared_and_what_was_told_is_not():
    one = evidence(reads=1, trials=5)
    other = evidence(reads=2, trials=9, gains={"f1": gain(0.07), "balanced_f1": gain(0.04)})
    assert [each.name for each in evidence_checks(one, other, 0.0) if each.outcome == "different"] == ["gains f1"]
    gone = list(evidence_checks(one, evidence(champion=None), 0.0))
    assert "champion f1" in {each.name for each in gone if each.outcome == "different"}


def test_a_line_that_is_answered_otherwise_is_named():
    one = decide(evidence(), Deployment())
    other = decide(evidence(), Deployment(f1_gain=0.2))
    found = {each.name for each in decision_checks("decision", one, other, 0.0) if each.outcome == "different"}
    assert {"verdict", "f1_gain, needed", "f1_gain, answer"} <= found
    assert {each.outcome for each in decision_checks("rule", one, one, 0.0)} == {"same"}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"code_version": "def"}, "the code is abc, recorded was def"),
        ({"libraries": {"numpy": "1"}}, "numpy is 2, recorded was 1"),
        ({"libraries": {"numpy": "2", "torch": "2.1"}}, "torch is not there, recorded was 2.1"),
        ({"processor": "another"}, "the processor is a chip, recorded was another"),
        ({"processor": None}, "the processor was not recorded"),
    ],
)
def test_every_difference_of_the_surroundings_is_told(changed, told):
    values = {"code_version": "abc", "libraries": {"numpy": "2"}, "processor": "a chip"} | changed
    assert HERE.differences(Surroundings(**values)) == [told]


@pytest.mark.parametrize("code", ["unknown", "abc-dirty"])
def test_code_that_is_no_commit_may_be_anything(code):
    same = Surroundings(code_version=code, libraries={}, processor="a chip")
    (told,) = same.differences(same)
    assert "nobody knows whether it is the same" in told


def test_a_manifest_says_where_it_was_trained():
    here = surroundings("abc")
    assert here.differences(here) == []
    facts = {"processor": processor(), "device": "cpu"}
    made = manifest(facts=facts, libraries=dict(here.libraries), created_at=datetime(2024, 1, 2, tzinfo=UTC))
    assert here.differences(surroundings_of(made)) == []
    (told,) = here.differences(surroundings_of(made.model_copy(update={"facts": {**facts, "device": "cuda"}})))
    assert "with cuda" in told
    assert "the processor was not recorded" in here.differences(surroundings_of(manifest()))
