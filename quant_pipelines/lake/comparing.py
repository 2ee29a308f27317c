"""Two versions of one session, cell by cell."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.lake.schemas import TableSchema

WHOLE_ROW = "row"
_PRESENT = "present"
_OLD, _NEW = "_position_in_old", "_position_in_new"


def changed_cells(old: pa.Table, new: pa.Table, schema: TableSchema) -> pa.Table:
    """One row per changed cell, as text; a whole bar that appeared or vanished is one row named `row`."""
    key = list(schema.key)
    joined = _numbered(old, key, _OLD).join(_numbered(new, key, _NEW), key, join_type="full outer")
    in_old, in_new = pc.is_valid(joined[_OLD]), pc.is_valid(joined[_NEW])
    pieces = [_appeared_or_vanished(joined.filter(pc.xor(in_old, in_new)), schema)]
    both = joined.filter(pc.and_(in_old, in_new))
    pieces += [
        _changed_column(name, both, old[name].take(both[_OLD]), new[name].take(both[_NEW]), schema)
        for name in schema.identity
        if name not in key
    ]
    return pa.concat_tables(pieces).sort_by([(name, "ascending") for name in (*_key_names(schema), "column")])


def _numbered(rows: pa.Table, key: list[str], name: str) -> pa.Table:
    return rows.select(key).append_column(name, pa.array(np.arange(rows.num_rows), pa.int64()))


def _appeared_or_vanished(alone: pa.Table, schema: TableSchema) -> pa.Table:
    nothing, present = pa.scalar(None, pa.string()), pa.scalar(_PRESENT)
    old = pc.if_else(pc.is_valid(alone[_OLD]), present, nothing)
    new = pc.if_else(pc.is_valid(alone[_NEW]), present, nothing)
    return _cells(alone, WHOLE_ROW, old, new, schema)


def _changed_column(
    name: str, both: pa.Table, old: pa.ChunkedArray, new: pa.ChunkedArray, schema: TableSchema
) -> pa.Table:
    # Text tells 0.0 from -0.0, as content ids do; comparing the numbers would not.
    before, after = old.cast(pa.string()), new.cast(pa.string())
    differs = pc.or_(
        pc.xor(pc.is_null(before), pc.is_null(after)), pc.fill_null(pc.not_equal(before, after), fill_value=False)
    )
    return _cells(both.filter(differs), name, before.filter(differs), after.filter(differs), schema)


def _key_names(schema: TableSchema) -> list[str]:
    """Key columns, renamed where a table has a column of the answer's name."""
    return [f"key_{name}" if name in ("column", "old", "new") else name for name in schema.key]


def _cells(keys: pa.Table, column: str, old: pa.ChunkedArray, new: pa.ChunkedArray, schema: TableSchema) -> pa.Table:
    columns = [keys[name] for name in schema.key]
    fields = [
        pa.field(name, schema.arrow.field(source).type)
        for name, source in zip(_key_names(schema), schema.key, strict=True)
    ]
    answer = [pa.field(name, pa.string()) for name in ("column", "old", "new")]
    names = pa.array([column] * keys.num_rows, pa.string())
    return pa.table([*columns, names, old, new], schema=pa.schema([*fields, *answer]))
