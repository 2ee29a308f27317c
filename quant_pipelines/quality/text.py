"""Sentences and JSON for many rows at once, without a loop over them."""

# pyarrow.compute makes its functions while it is imported, so no checker can see them.
# pyright: reportAttributeAccessIssue=false

import json
from string import Formatter

import pyarrow as pa
import pyarrow.compute as pc

_NOTHING = "nothing"


def sentences(template: str, table: pa.Table) -> pa.Array:
    """The template once per row; `{close}` stands for the row's close."""
    pieces: list[pa.Array | pa.Scalar] = []
    for literal, field, _, _ in Formatter().parse(template):
        pieces.append(pa.scalar(literal))
        if field:
            pieces.append(pc.fill_null(as_text(table[field]), _NOTHING))
    # A first column, so that a template without fields still gives one sentence per row.
    return _flat(pc.binary_join_element_wise(_repeated("", table.num_rows), *pieces, ""))


def joined(parts: list[pa.Array], separator: str) -> pa.Array:
    """The parts of each row that are not null, with the separator between them."""
    return _flat(pc.binary_join_element_wise(*parts, separator, null_handling="skip"))


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values as a person writes them: sessions as in partition keys, numbers in their shortest exact form."""
    if not pa.types.is_timestamp(column.type):
        return pc.cast(column, pa.string())
    if column.type.tz is not None:
        return pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
    return pc.replace_substring_regex(pc.strftime(column, format="%Y-%m-%dT%H:%M:%S"), r"(T00:00)?:00(\.0+)?$", "")


def rows_as_json(table: pa.Table) -> pa.Array:
    """Each row as a JSON object. Null stays null; NaN and infinities, which JSON lacks, become their names."""
    members: list[pa.Array | pa.Scalar] = []
    for name in table.column_names:
        members += [pa.scalar(f"{', ' if members else ''}{json.dumps(name)}: "), _json_value(table[name])]
    if not members:
        return _repeated("{}", table.num_rows)
    return _flat(pc.binary_join_element_wise(pa.scalar("{"), *members, pa.scalar("}"), ""))


def _json_value(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_floating(column.type):
        text = pc.if_else(pc.is_finite(column), as_text(column), _name_of(column))
    elif pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        text = as_text(column)
    else:
        text = _quoted(as_text(column))
    return pc.fill_null(text, "null")


def _name_of(column: pa.ChunkedArray) -> pa.ChunkedArray:
    infinite = pc.if_else(pc.greater(column, 0.0), '"Infinity"', '"-Infinity"')
    return pc.if_else(pc.is_nan(column), '"NaN"', infinite)


def _quoted(column: pa.ChunkedArray) -> pa.Array:
    # Few distinct texts stand in many rows, so each is escaped once.
    encoded = column.combine_chunks().dictionary_encode()
    texts = [json.dumps(text, ensure_ascii=False) for text in encoded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(encoded.indices)


def _repeated(text: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(text), count)


def _flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
