"""What a table is: named, typed, described columns and a key. Data, shown as it is in the UI."""

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from quant_pipelines.arrays import SESSION


@dataclass(frozen=True, slots=True)
class Column:
    """One column. A column with `identity=False` is provenance: kept, but not part of the content id."""

    name: str
    type: pa.DataType
    description: str
    nullable: bool = True
    identity: bool = True


@dataclass(frozen=True)
class TableSchema:
    """A table's name, meaning, key and columns. Every table is keyed by session first."""

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"Table {self.name} names a column twice: {names}.")
        if self.key[:1] != (SESSION,) or not set(self.key) <= set(names):
            raise ValueError(f"Table {self.name} must be keyed by {SESSION} first and by its own columns: {self.key}.")

    @cached_property
    def arrow(self) -> pa.Schema:
        return pa.schema([pa.field(each.name, each.type, each.nullable) for each in self.columns])

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def identity(self) -> tuple[str, ...]:
        """The columns that make the content id, in name order."""
        return tuple(sorted(column.name for column in self.columns if column.identity))
