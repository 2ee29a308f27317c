"""A rule: one row of data that says what is demanded, how badly, and in which words."""

# pyarrow.compute makes its functions while it is imported, so no checker can see them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.quality.checks import BoolArray, Check
from quant_pipelines.quality.facts import Facts
from quant_pipelines.quality.frame import Frame
from quant_pipelines.quality.text import joined, sentences

SCHEMA_RULE = "schema_and_types"


class Severity(StrEnum):
    """Hard findings block; soft ones are listed."""

    HARD = "hard"
    SOFT = "soft"


@dataclass(frozen=True, slots=True)
class View:
    """What a rule looks at: the rows themselves or something derived from them.

    `by_row` views keep the table's rows, so that a finding is a finding about one row.
    `key` names the columns by which an example is found again.
    """

    name: str
    key: tuple[str, ...]
    derive: Callable[[pa.Table, Facts], pa.Table]
    by_row: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """All checks must hold. `expects` completes the reason: what was found; what is expected."""

    name: str
    severity: Severity
    view: View
    expects: str
    checks: tuple[Check, ...]

    def __post_init__(self) -> None:
        if not self.checks:
            raise ValueError(f"Rule {self.name} checks nothing. Give it at least one check.")

    def judge(self, frame: Frame, facts: Facts) -> "Verdict":
        return Verdict(self, tuple(check.broken(frame, facts) for check in self.checks))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which rows of its view broke a rule, check by check."""

    rule: Rule
    by_check: tuple[BoolArray, ...]

    @property
    def mask(self) -> BoolArray:
        return np.logical_or.reduce(self.by_check)

    def reasons(self, rows: pa.Table, positions: np.ndarray) -> pa.Array:
        """What was found and expected; `rows` are the view's rows at those positions, each of them broken."""
        parts = [
            _null_unless(broken[positions], sentences(check.found, rows))
            for check, broken in zip(self.rule.checks, self.by_check, strict=True)
            if broken.any()
        ]
        expected = pa.repeat(pa.scalar(self.rule.expects), rows.num_rows)
        return joined([*parts, expected], "; ")


def _null_unless(chosen: BoolArray, texts: pa.Array) -> pa.Array:
    return pc.if_else(pa.array(chosen), texts, pa.scalar(None, pa.string()))


class Frames:
    """The views of one table, each derived once."""

    def __init__(self, table: pa.Table, facts: Facts) -> None:
        self._table = table
        self._facts = facts
        self._known: dict[str, Frame] = {}

    def of(self, view: View) -> Frame:
        if view.name not in self._known:
            self._known[view.name] = Frame(view.derive(self._table, self._facts))
        return self._known[view.name]
