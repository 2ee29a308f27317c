"""Content ids: equal content has an equal id, and nothing else has."""

import hashlib
import json
import math
import struct
from datetime import datetime

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quant_pipelines.lake.rows import ids_of
from quant_pipelines.lake.schemas import TableSchema

LABELS = [datetime(2024, 1, 2), datetime(2024, 1, 3), datetime(2024, 2, 1, 15)]
NUMBERS = st.none() | st.floats(allow_infinity=False, allow_nan=False)


@st.composite
def contents(draw: st.DrawFn) -> dict[tuple[datetime, str], dict]:
    keys = draw(st.sets(st.tuples(st.sampled_from(LABELS), st.text(min_size=1, max_size=4)), min_size=1, max_size=12))
    cell = st.fixed_dictionaries(
        {
            "close": NUMBERS,
            "size": st.none() | st.integers(-(2**31), 2**31 - 1),
            "weight": st.none() | st.floats(width=32, allow_infinity=False, allow_nan=False),
            "open": st.none() | st.booleans(),
            "note": st.none() | st.text(max_size=5),
            "source": st.none() | st.text(max_size=3),
        }
    )
    return {key: draw(cell) for key in sorted(keys)}


def as_table(content: dict, schema: TableSchema) -> pa.Table:
    records = [{"session": label, "symbol": symbol, **cells} for (label, symbol), cells in content.items()]
    return pa.Table.from_pylist(records, schema=schema.arrow)


def slow_ids(content: dict) -> dict[datetime, str]:
    """The definition, one value at a time."""
    types = {
        "close": "float64",
        "note": "text",
        "open": "bool",
        "session": "label_us",
        "size": "int32",
        "symbol": "text",
    }
    types["weight"] = "float32"
    described = {"key": ["session", "symbol"], "columns": [[name, types[name]] for name in sorted(types)]}
    fingerprint = hashlib.sha256(json.dumps(described, sort_keys=True, separators=(",", ":")).encode()).digest()
    ids = {}
    for label in sorted({label for label, _ in content}):
        ordered = sorted((symbol.encode(), symbol) for this, symbol in content if this == label)
        records = [{"session": label, "symbol": symbol, **content[label, symbol]} for _, symbol in ordered]
        running = hashlib.sha256(fingerprint + struct.pack("<Q", len(records)))
        for name in sorted(types):
            running.update(slow_column([record[name] for record in records], types[name]))
        ids[label] = running.hexdigest()
    return ids


def slow_column(values: list, kind: str) -> bytes:
    missing = [value is None for value in values]
    flags = b"\x01" + np.packbits(missing).tobytes() if any(missing) else b"\x00"
    if kind == "text":
        words = [(value or "").encode() for value in values]
        return flags + b"".join(struct.pack("<I", len(word)) for word in words) + b"".join(words)
    if kind == "label_us":
        return flags + b"".join(
            struct.pack("<q", round((v - datetime(1970, 1, 1)).total_seconds() * 1e6)) for v in values
        )
    form = {"float64": "<d", "float32": "<f", "int32": "<i", "bool": "<b"}[kind]
    return flags + b"".join(struct.pack(form, 0 if value is None else value) for value in values)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(content=contents())
def test_ids_agree_with_their_slow_definition(schema: TableSchema, content: dict):
    assert ids_of(as_table(content, schema), schema) == slow_ids(content)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(content=contents(), data=st.data())
def test_an_id_does_not_depend_on_how_the_rows_are_held(schema: TableSchema, content: dict, data: st.DataObject):
    plain = as_table(content, schema)
    order = data.draw(st.permutations(range(plain.num_rows)))
    cut = data.draw(st.integers(0, plain.num_rows))
    other = plain.take(order).select(data.draw(st.permutations(plain.column_names)))
    other = pa.concat_tables([other.slice(0, cut), other.slice(cut)])
    for name in ("symbol", "note"):
        position = other.schema.get_field_index(name)
        other = other.set_column(position, name, other[name].dictionary_encode())
    assert ids_of(other, schema) == ids_of(plain, schema)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(content=contents(), data=st.data())
def test_any_changed_cell_changes_its_session_and_no_other(schema: TableSchema, content: dict, data: st.DataObject):
    key = data.draw(st.sampled_from(sorted(content)))
    name = data.draw(st.sampled_from(["close", "size", "weight", "open", "note"]))
    value = {"close": 3.25, "size": 7, "weight": 1.5, "open": True, "note": "new"}[name]
    changed = {**content, key: {**content[key], name: None if content[key][name] == value else value}}
    before, after = ids_of(as_table(content, schema), schema), ids_of(as_table(changed, schema), schema)
    assert {label for label in before if before[label] != after[label]} == {key[0]}


def one(schema: TableSchema, **cells) -> str:
    cells = {"close": 1.0, "size": 1, "weight": 1.0, "open": True, "note": "x", "source": "s", **cells}
    (content_id,) = ids_of(as_table({(LABELS[0], "A"): cells}, schema), schema).values()
    return content_id


def test_missing_has_one_meaning(schema: TableSchema):
    assert one(schema, close=math.nan) == one(schema, close=None) != one(schema, close=0.0)
    assert one(schema, note=None) != one(schema, note="")


def test_zero_and_negative_zero_are_different_content(schema: TableSchema):
    assert one(schema, close=0.0) != one(schema, close=-0.0)


def test_provenance_is_not_content(schema: TableSchema):
    assert one(schema, source="a") == one(schema, source="b")


def test_words_do_not_flow_into_each_other(schema: TableSchema):
    def pair(first: str, second: str) -> str:
        cells = {"close": 1.0, "size": 1, "weight": 1.0, "open": True, "source": None}
        content = {(LABELS[0], "A"): {**cells, "note": first}, (LABELS[0], "B"): {**cells, "note": second}}
        return ids_of(as_table(content, schema), schema)[LABELS[0]]

    assert pair("ab", "c") != pair("a", "bc")


def test_ids_stay_the_same_from_release_to_release(schema: TableSchema):
    """Decisions cite these ids for years. If this fails, old citations no longer name their content."""
    assert one(schema) == "d3bd9720198059c6c93da88fc2035e001a4bd4ff05819f9bc33f666ebcc0b364"
