"""The manifest: one text for one content."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from quant_pipelines.registry import Manifest, settings_of
from tests.stored import manifest

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=5,
)


def readable(value):
    return "\ud800" not in str(value)


@given(
    facts=st.dictionaries(st.text(), VALUES, max_size=3),
    metrics=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    parameters=st.dictionaries(st.text(), st.booleans() | st.integers() | st.text() | st.floats(-1e9, 1e9), max_size=3),
)
def test_what_is_read_is_what_was_written(facts, metrics, parameters):
    written = manifest(facts=facts, metrics=metrics, parameters=parameters)
    read = Manifest.read(written.canonical())
    assert read == written
    assert read.digest == written.digest
    types = {name: type(value) for name, value in read.parameters.items()}
    assert types == {name: type(value) for name, value in parameters.items()}


def test_every_field_is_in_its_digest():
    one = manifest().digest
    changes = {
        "model": "demo.other", "kind": "lightgbm", "parameters": {"a": 1}, "columns": ("a",), "length": 2,
        "feature_versions": {}, "label_set": "dual", "snapshot_id": "6", "training_id": "7", "code_version": "8",
        "seed": 9, "libraries": {}, "metrics": {}, "facts": {"a": 1},
    }  # fmt: skip
    digests = {
        manifest(**{name: value}).digest for name, value in changes.items() if name not in ("kind", "training_id")
    }
    digests |= {manifest("lightgbm", parameters=manifest().parameters).digest, manifest(training="7").digest}
    assert one not in digests
    assert len(digests) == len(changes)


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "../evil"},
        {"model": ""},
        {"model": "a/b"},
        {"training_id": "x' or '1'='1"},
        {"columns": ()},
        {"length": 0},
        {"metrics": {"a": math.nan}},
        {"metrics": {"a": math.inf}},
        {"seed": "1"},
        {"unknown": 1},
        {"parameters": {"a": [1]}},
        {"facts": {"a": {1}}},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(changed):
    with pytest.raises((ValidationError, TypeError)):
        manifest(**changed) if "training_id" not in changed else manifest(training=changed["training_id"])


def test_it_says_how_to_make_the_model_again():
    settings = settings_of(manifest("lightgbm"))
    assert settings.kind == "lightgbm"
    assert settings.columns == manifest().columns
    assert settings.parameters["num_leaves"] == 7
    assert (settings.task.kind, settings.task.outputs, settings.length) == ("numbers", 1, 1)
