"""The few things a rule can demand of a column: each as a fast predicate and as the expectation it stands for."""

# pyarrow.compute makes its functions while it is imported, so no checker can see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.quality.facts import Facts
from quant_pipelines.quality.frame import Frame

BoolArray = npt.NDArray[np.bool_]
LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True)
class Expectation:
    """A Great Expectations expectation by its name and arguments, without the library."""

    kind: str
    arguments: Mapping[str, Any]


class Check(Protocol):
    """One demand on the rows of a view; a missing value breaks none of them but `Known`."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def found(self) -> str:
        """What a broken row shows, with column names in braces."""
        ...

    def broken(self, frame: Frame, facts: Facts) -> BoolArray: ...

    def expectation(self, facts: Facts) -> Expectation: ...


@dataclass(frozen=True, slots=True)
class Known:
    """A value is there. NaN counts as missing."""

    column: str
    found: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def broken(self, frame: Frame, facts: Facts) -> BoolArray:  # noqa: ARG002  one shape for every check
        return frame.missing(self.column)

    def expectation(self, facts: Facts) -> Expectation:  # noqa: ARG002
        return Expectation("expect_column_values_to_not_be_null", {"column": self.column})


@dataclass(frozen=True, slots=True)
class Unknown:
    """No value is there."""

    column: str
    found: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def broken(self, frame: Frame, facts: Facts) -> BoolArray:  # noqa: ARG002
        return ~frame.missing(self.column)

    def expectation(self, facts: Facts) -> Expectation:  # noqa: ARG002
        return Expectation("expect_column_values_to_be_null", {"column": self.column})


@dataclass(frozen=True, slots=True)
class Between:
    """A number lies between two bounds, both allowed unless `above` names an open lower one."""

    column: str
    found: str
    low: float | None = None
    high: float | None = None
    above: float | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def broken(self, frame: Frame, facts: Facts) -> BoolArray:  # noqa: ARG002
        values = frame.values(self.column)
        broken = np.zeros(values.size, dtype=np.bool_)
        # Each comparison with NaN is false, so that a missing value is left to `Known`.
        if self.low is not None:
            broken |= values < self.low
        if self.high is not None:
            broken |= values > self.high
        if self.above is not None:
            broken |= values <= self.above
        return broken

    def expectation(self, facts: Facts) -> Expectation:  # noqa: ARG002
        arguments = {
            "column": self.column,
            "min_value": self.low if self.above is None else self.above,
            "max_value": self.high,
            "strict_min": self.above is not None,
        }
        return Expectation("expect_column_values_to_be_between", arguments)


@dataclass(frozen=True, slots=True)
class AtLeast:
    """One column is at least, or with `strict` above, another of the same row."""

    larger: str
    smaller: str
    found: str
    strict: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.larger, self.smaller)

    def broken(self, frame: Frame, facts: Facts) -> BoolArray:  # noqa: ARG002
        larger, smaller = frame.values(self.larger), frame.values(self.smaller)
        return larger <= smaller if self.strict else larger < smaller

    def expectation(self, facts: Facts) -> Expectation:  # noqa: ARG002
        arguments = {
            "column_A": self.larger,
            "column_B": self.smaller,
            "or_equal": not self.strict,
            "ignore_row_if": "either_value_is_missing",
        }
        return Expectation("expect_column_pair_values_a_to_be_greater_than_b", arguments)


@dataclass(frozen=True, slots=True)
class Equal:
    """Two columns of text say the same."""

    left: str
    right: str
    found: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.left, self.right)

    def broken(self, frame: Frame, facts: Facts) -> BoolArray:  # noqa: ARG002
        differs = pc.not_equal(frame.table[self.left], frame.table[self.right])
        return pc.fill_null(differs, False).to_numpy().astype(np.bool_)

    def expectation(self, facts: Facts) -> Expectation:  # noqa: ARG002
        arguments = {"column_A": self.left, "column_B": self.right, "ignore_row_if": "either_value_is_missing"}
        return Expectation("expect_column_pair_values_to_be_equal", arguments)


@dataclass(frozen=True, slots=True)
class OneOf:
    """A value is one of those that the facts allow."""

    column: str
    found: str
    allowed: Callable[[Facts], tuple[Any, ...]]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def broken(self, frame: Frame, facts: Facts) -> BoolArray:
        column = frame.table[self.column]
        known = pc.is_in(column, pa.array(self.allowed(facts), column.type))
        return pc.and_(pc.invert(known), pc.is_valid(column)).to_numpy().astype(np.bool_)

    def expectation(self, facts: Facts) -> Expectation:
        arguments = {"column": self.column, "value_set": list(self.allowed(facts))}
        return Expectation("expect_column_values_to_be_in_set", arguments)


@dataclass(frozen=True, slots=True)
class Unique:
    """No two rows have the same key; every row of a repeated key is broken."""

    columns: tuple[str, ...]
    found: str

    def broken(self, frame: Frame, facts: Facts) -> BoolArray:  # noqa: ARG002
        return frame.deliveries(self.columns) > 1

    def expectation(self, facts: Facts) -> Expectation:  # noqa: ARG002
        return Expectation("expect_compound_columns_to_be_unique", {"column_list": list(self.columns)})
