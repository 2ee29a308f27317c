"""The first rule of every suite: the table has the columns and types of its schema."""

from collections.abc import Callable

import pyarrow as pa

from quant_pipelines.errors import DataRejected
from quant_pipelines.lake.schemas import TableSchema
from quant_pipelines.quality.checks import Equal
from quant_pipelines.quality.facts import Facts
from quant_pipelines.quality.rules import SCHEMA_RULE, Rule, Severity, View

_COLUMNS = pa.schema([(name, pa.string()) for name in ("column", "found", "expected")])
_ABSENT = "no column"


class WrongColumns(DataRejected):
    """A table has not the columns of its schema, so none of its rows can be judged."""

    code = "QP230"

    def __init__(self, reasons: list[str]) -> None:
        super().__init__(f"{'. '.join(reasons)}. Correct the source's column mapping and collect the sessions again.")


def schema_rule(schema: TableSchema) -> Rule:
    """The columns are the schema's, with its types, and nothing is missing where nothing may be."""
    return Rule(
        name=SCHEMA_RULE,
        severity=Severity.HARD,
        view=View("columns", key=("column",), derive=_columns_against(schema)),
        expects="the table has exactly its schema's columns and types",
        checks=(Equal("found", "expected", "column {column}: found {found}, expected {expected}"),),
    )


def _columns_against(schema: TableSchema) -> Callable[[pa.Table, Facts], pa.Table]:
    def columns(table: pa.Table, facts: Facts) -> pa.Table:  # noqa: ARG001  one shape for every view
        expected = {field.name: _described(field) for field in schema.arrow}
        found = {name: _found(table, name, schema) for name in table.column_names}
        names = [*schema.names, *(name for name in table.column_names if name not in expected)]
        rows = [{"column": n, "found": found.get(n, _ABSENT), "expected": expected.get(n, _ABSENT)} for n in names]
        return pa.Table.from_pylist(rows, schema=_COLUMNS)

    return columns


def _described(field: pa.Field) -> str:
    return str(field.type) if field.nullable else f"{field.type} without nulls"


def _found(table: pa.Table, name: str, schema: TableSchema) -> str:
    positions = table.schema.get_all_field_indices(name)
    if len(positions) > 1:
        return f"{len(positions)} columns"
    column = table.column(positions[0])
    # Whether a column holds nulls is read from its values; what its own schema claims proves nothing.
    required = name in schema.names and not schema.arrow.field(name).nullable
    nulls = f" with {column.null_count} nulls" if column.null_count else " without nulls"
    return f"{column.type}{nulls}" if required else str(column.type)
