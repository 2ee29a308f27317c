"""What may enter a table: rows checked against the schema, cleaned, cut into periods, in key order."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.arrays import SESSION
from quant_pipelines.calendars import Session, session_key
from quant_pipelines.lake.failures import RowsRejected
from quant_pipelines.lake.ids import as_integers, content_ids
from quant_pipelines.lake.schemas import Column, TableSchema
from quant_pipelines.lake.values import Window


@dataclass(frozen=True)
class IncomingRows:
    """Rows that somebody wants a window to hold. Cleaned one period at a time, so that memory stays small."""

    rows: pa.Table
    schema: TableSchema
    window: Window

    def __post_init__(self) -> None:
        _require_columns(self.rows, self.schema)
        self._require_inside()

    @cached_property
    def _labels(self) -> np.ndarray:
        column = next(column for column in self.schema.columns if column.name == SESSION)
        return _clean(self.rows[SESSION], column, self.schema.name).to_numpy()

    @cached_property
    def _order(self) -> np.ndarray | None:
        """Row positions by month, None where they are in that order already."""
        months = self._months
        return None if np.all(months[1:] >= months[:-1]) else np.argsort(months, kind="stable")

    @cached_property
    def _months(self) -> np.ndarray:
        return self._labels.astype("datetime64[M]")

    @cached_property
    def _spans(self) -> dict[str, tuple[int, int]]:
        if self._months.size == 0:
            return {}
        ordered = self._months if self._order is None else self._months[self._order]
        starts = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
        stops = np.append(starts[1:], ordered.size).tolist()
        return {str(ordered[start]): (int(start), stop) for start, stop in zip(starts, stops, strict=True)}

    @cached_property
    def counts(self) -> dict[Session, int]:
        """How many rows each session brings."""
        labels, counts = np.unique(self._labels, return_counts=True)
        return dict(zip(labels.astype("datetime64[us]").astype(object).tolist(), counts.tolist(), strict=True))

    @property
    def periods(self) -> list[str]:
        return list(self._spans)

    def period(self, period: str) -> pa.Table:
        """The period's rows, clean and in key order."""
        if period not in self._spans:
            return self.schema.arrow.empty_table()
        start, stop = self._spans[period]
        part = self.rows.slice(start, stop - start) if self._order is None else self.rows.take(self._order[start:stop])
        return in_key_order(clean(part, self.schema), self.schema)

    def _require_inside(self) -> None:
        first, last = (np.datetime64(each, "us") for each in (self.window.first, self.window.last))
        outside = (self._labels < first) | (self._labels > last)
        if outside.any():
            example: Session = self._labels[outside][0].astype("datetime64[us]").item()
            raise RowsRejected(
                self.schema.name,
                f"{int(outside.sum())} rows lie outside the window {session_key(self.window.first)} to "
                f"{session_key(self.window.last)}, first {session_key(example)}",
                "Widen the window or leave them away.",
            )


def ids_of(rows: pa.Table, schema: TableSchema) -> dict[Session, str]:
    """The content ids that these rows would have in the table."""
    _require_columns(rows, schema)
    return content_ids(in_key_order(clean(rows, schema), schema), schema)


def clean(rows: pa.Table, schema: TableSchema) -> pa.Table:
    """The schema's columns in its order and types, NaN as null, nothing infinite, no forbidden null."""
    columns = [_clean(rows[column.name], column, schema.name) for column in schema.columns]
    return pa.table(columns, schema=schema.arrow).combine_chunks()


def in_key_order(rows: pa.Table, schema: TableSchema) -> pa.Table:
    """Sorted by key; refuses a key that appears twice."""
    keys = [_ranks(rows[name]) for name in schema.key]
    if not _is_sorted(keys):
        order = np.lexsort(keys[::-1])
        rows = rows.take(order)
        keys = [key[order] for key in keys]
    twice = np.ones(max(rows.num_rows - 1, 0), dtype=bool)
    for key in keys:
        twice &= key[1:] == key[:-1]
    if twice.any():
        example = rows.slice(int(np.argmax(twice)), 1).select(list(schema.key)).to_pylist()[0]
        named = ", ".join(f"{name} {value}" for name, value in example.items())
        raise RowsRejected(
            schema.name, f"{int(twice.sum())} rows repeat a key, first {named}", "Keep one row for each key."
        )
    return rows


def _ranks(column: pa.ChunkedArray) -> np.ndarray:
    """Numbers that sort as the column does; text sorts by its bytes."""
    array = column.combine_chunks()
    if not pa.types.is_string(array.type):
        return as_integers(array).to_numpy(zero_copy_only=False)
    encoded = array.dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    ranks = np.empty(order.size, dtype=np.int64)
    ranks[order] = np.arange(order.size)
    return ranks[encoded.indices.to_numpy(zero_copy_only=False)]


def _is_sorted(keys: list[np.ndarray]) -> bool:
    """True where each row's key is not below the one before."""
    undecided = np.ones(max(keys[0].size - 1, 0), dtype=bool)
    for key in keys:
        if (undecided & (key[1:] < key[:-1])).any():
            return False
        undecided &= key[1:] == key[:-1]
    return True


def _require_columns(rows: pa.Table, schema: TableSchema) -> None:
    found = rows.column_names
    problems = [f"column {name} is missing" for name in schema.names if name not in found]
    problems += [f"column {name} is unknown" for name in found if name not in schema.names]
    problems += [f"column {name} appears {found.count(name)} times" for name in schema.names if found.count(name) > 1]
    if problems:
        raise RowsRejected(schema.name, "; ".join(problems), f"Its columns are {', '.join(schema.names)}.")


def _clean(values: pa.ChunkedArray, column: Column, table: str) -> pa.ChunkedArray:
    values = _cast(values, column, table)
    if pa.types.is_floating(column.type):
        values = _only_finite(values, column, table)
    if not column.nullable and values.null_count:
        raise RowsRejected(
            table,
            f"column {column.name} has {values.null_count} missing values",
            "It may have none; find out why they are missing.",
        )
    return values


def _only_finite(values: pa.ChunkedArray, column: Column, table: str) -> pa.ChunkedArray:
    """One meaning of missing: NaN becomes null. An infinity means something went wrong, so it is refused."""
    infinite = pc.sum(pc.is_inf(values)).as_py()
    if infinite:
        raise RowsRejected(
            table,
            f"column {column.name} has {infinite} infinite values",
            "Make them null or correct what divides by zero.",
        )
    return _nan_as_null(values)


def _cast(values: pa.ChunkedArray, column: Column, table: str) -> pa.ChunkedArray:
    if values.type == column.type:
        return values
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    problem = f"column {column.name} is {values.type} and does not fit {column.type}"
    remedy = f"Deliver {column.name} as {column.type}."
    if not pa.types.is_null(values.type) and _kind(values.type) != _kind(column.type):
        raise RowsRejected(table, problem, remedy)
    try:
        values = _nan_as_null(values)
        cast = values.cast(column.type)
        # Arrow's safe cast lets float64 lose digits on the way to float32.
        lost = pa.types.is_floating(values.type) and not cast.cast(values.type).equals(values)
    except pa.ArrowInvalid as error:
        raise RowsRejected(table, f"{problem} without loss ({error})", remedy) from error
    if lost:
        raise RowsRejected(table, f"{problem} without loss", remedy)
    return cast


def _nan_as_null(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_floating(values.type):
        return values
    is_nan = pc.is_nan(values)
    return pc.if_else(is_nan, pa.scalar(None, values.type), values) if pc.any(is_nan).as_py() else values


def _kind(kind: pa.DataType) -> str:
    """Types that may stand for each other where no value is lost."""
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_timestamp(kind):
        return "label" if kind.tz is None else "instant"
    return "label" if pa.types.is_date(kind) else str(kind)
