"""What every table of bars is held to, raw or checked: the columns, the demands, and their words."""

# pyarrow.compute makes its functions while it is imported, so no checker can see them.
# pyright: reportAttributeAccessIssue=false

import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.quality.checks import LARGEST, AtLeast, Between, Check, Known, OneOf
from quant_pipelines.quality.facts import Facts
from quant_pipelines.quality.rules import Rule, Severity, View

KEY = (SESSION, SYMBOL)
FOUR_PRICES = ("open", "high", "low", "close")
NUMBERS = (*FOUR_PRICES, "volume", "amount", "previous_close", "factor")


def hard(name: str, view: View, expects: str, *checks: Check) -> Rule:
    return Rule(name=name, severity=Severity.HARD, view=view, expects=expects, checks=checks)


def soft(name: str, view: View, expects: str, *checks: Check) -> Rule:
    return Rule(name=name, severity=Severity.SOFT, view=view, expects=expects, checks=checks)


def with_nan_as_infinity(table: pa.Table, facts: Facts) -> pa.Table:  # noqa: ARG001  one shape for every view
    """For `finite` alone: pandas cannot tell NaN from null, and only one of them is a mistake."""
    for position, field in enumerate(table.schema):
        column = table.column(position)
        if pa.types.is_floating(field.type) and pc.any(pc.is_nan(column)).as_py():
            table = table.set_column(position, field.name, pc.if_else(pc.is_nan(column), float("inf"), column))
    return table


def known(column: str) -> Known:
    return Known(column, f"{column} is missing")


def finite(column: str) -> Between:
    return Between(column, f"{column} is no finite number", low=-LARGEST, high=LARGEST)


def positive(column: str) -> Between:
    return Between(column, f"{column} is {{{column}}}", above=0.0)


def not_negative(column: str) -> Between:
    return Between(column, f"{column} is {{{column}}}", low=0.0)


def not_below(larger: str, smaller: str) -> AtLeast:
    return AtLeast(larger, smaller, f"{larger} {{{larger}}} is below {smaller} {{{smaller}}}")


def not_above(smaller: str, larger: str) -> AtLeast:
    return AtLeast(larger, smaller, f"{smaller} {{{smaller}}} is above {larger} {{{larger}}}")


def high_encloses(view: View) -> Rule:
    checks = (not_below("high", "open"), not_below("high", "close"))
    return hard("high_encloses", view, "a bar's high encloses its open and close", *checks)


def low_encloses(view: View) -> Rule:
    checks = (not_above("low", "open"), not_above("low", "close"))
    return hard("low_encloses", view, "a bar's low encloses its open and close", *checks)


def is_session(view: View) -> Rule:
    found = "{session} is no session of the calendar in the judged window"
    check = OneOf(SESSION, found, allowed=lambda facts: facts.sessions)
    return hard("is_session", view, "bars belong to sessions in which the market trades", check)
