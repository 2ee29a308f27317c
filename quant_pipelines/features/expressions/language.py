"""Text to tree, and what can be said of a tree before it meets data."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar

from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.features.expressions.operators import OPERATORS, Kind
from quant_pipelines.features.panel import FIELDS

LONGEST_WINDOW = 2_520
_FIELD = "FIELD_"
_BINARY: dict[type[ast.AST], tuple[str, Callable[[float, float], float] | None]] = {
    ast.Add: ("Add", lambda a, b: a + b),
    ast.Sub: ("Sub", lambda a, b: a - b),
    ast.Mult: ("Mul", lambda a, b: a * b),
    ast.Div: ("Div", lambda a, b: a / b),
    ast.Pow: ("Power", None),
    ast.BitAnd: ("And", None),
    ast.BitOr: ("Or", None),
    ast.Gt: ("Gt", None),
    ast.GtE: ("Ge", None),
    ast.Lt: ("Lt", None),
    ast.LtE: ("Le", None),
    ast.Eq: ("Eq", None),
    ast.NotEq: ("Ne", None),
}


class ExpressionRefused(OperatorActionRequired):
    """The text is not an expression of the language."""

    code: ClassVar[str] = "QP251"


class LooksAhead(OperatorActionRequired):
    """The expression reads a session that has not happened yet."""

    code: ClassVar[str] = "QP252"


@dataclass(frozen=True, slots=True)
class Field:
    name: str


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Call:
    """An operator over expressions, with its window and further numbers."""

    operator: str
    series: tuple["Node", ...]
    window: int | None = None
    numbers: tuple[float, ...] = ()


Node = Field | Number | Call


def parse(text: str) -> Node:
    """The tree of an expression; refuses what the language does not have."""
    if _FIELD in text:
        raise ExpressionRefused(f"Expression {text!r} contains {_FIELD}. Write fields as $close.")
    try:
        tree = ast.parse(re.sub(r"\$(?=[A-Za-z])", _FIELD, text.strip()), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionRefused(
            f"Expression {text!r} cannot be read: {error}. Write for example Mean($close, 5) / $close."
        ) from error
    node = _Reader(text).read(tree.body)
    if isinstance(node, Number):
        raise ExpressionRefused(f"Expression {text!r} is a constant. A feature needs a field, such as $close.")
    return node


def parse_feature(text: str) -> Node:
    """Like `parse`, and refuses an expression that reads later sessions: those are labels."""
    node = parse(text)
    for call in _calls(node):
        if call.window is not None and call.window < 0:
            raise LooksAhead(
                f"{call.operator}(..., {call.window}) in {text!r} reads {-call.window} sessions ahead. "
                "A feature may look back only; what comes later belongs into a label set."
            )
    return node


def look_back(node: Node) -> int | None:
    """Sessions before the current one that a value depends on; None: all history."""
    if not isinstance(node, Call):
        return 0
    reach = 0
    for each in node.series:
        inner = look_back(each)
        if inner is None or OPERATORS[node.operator].kind is Kind.ENDLESS:
            return None
        reach = max(reach, inner)
    if node.window is None:
        return reach
    own = node.window if OPERATORS[node.operator].kind is Kind.SHIFT else node.window - 1
    return reach + max(own, 0)


def fields(node: Node) -> tuple[str, ...]:
    """The fields an expression reads, in the panel's order."""
    found = {node.name} if isinstance(node, Field) else set[str]()
    found |= {leaf.name for call in _calls(node) for leaf in call.series if isinstance(leaf, Field)}
    return tuple(name for name in FIELDS if name in found)


def _calls(node: Node) -> Iterator[Call]:
    if isinstance(node, Call):
        yield node
        for each in node.series:
            yield from _calls(each)


@dataclass(frozen=True, slots=True)
class _Reader:
    """From Python's syntax tree to ours; everything that is not listed is refused."""

    text: str

    def read(self, node: ast.expr) -> Node:
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return Number(value)
            case ast.Name(id=name) if name.startswith(_FIELD):
                return self._field(name.removeprefix(_FIELD))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._binary(ast.Mult, Number(-1), self.read(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(type(op), self.read(left), self.read(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self._binary(type(op), self.read(left), self.read(right))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments)
            case _:
                raise self._refuse(f"{ast.unparse(node)!r} is not part of the language")

    def _field(self, name: str) -> Field:
        if name not in FIELDS:
            raise self._refuse(f"${name} is no field; there are {', '.join('$' + each for each in FIELDS)}")
        return Field(name)

    def _binary(self, op: type[ast.AST], left: Node, right: Node) -> Node:
        if op not in _BINARY:
            raise self._refuse(f"operator {op.__name__} is not part of the language")
        name, fold = _BINARY[op]
        if isinstance(left, Number) and isinstance(right, Number):
            if fold is None or (op is ast.Div and right.value == 0):
                raise self._refuse(f"{name} of two constants has no meaning here")
            # Folded in Python, so that a constant keeps taking the precision of the field it meets.
            return Number(fold(left.value, right.value))
        return Call(name, (left, right))

    def _call(self, name: str, arguments: list[ast.expr]) -> Call:
        known = OPERATORS.get(name)
        if known is None:
            hint = get_close_matches(name, OPERATORS, n=1)
            raise self._refuse(f"there is no operator {name}" + (f"; did you mean {hint[0]}?" if hint else ""))
        if len(arguments) != known.arity:
            raise self._refuse(f"{name} takes {known.arity} arguments, found {len(arguments)}")
        series = tuple(self.read(each) for each in arguments[: known.series])
        if known.kind is not Kind.ELEMENTWISE and any(isinstance(each, Number) for each in series):
            raise self._refuse(f"{name} needs a series, found a constant")
        if all(isinstance(each, Number) for each in series):
            raise self._refuse(f"{name} of constants has no meaning here")
        rest = [self._number(name, each) for each in arguments[known.series :]]
        window = None if known.kind is Kind.ELEMENTWISE else self._window(name, rest.pop(0), known.kind)
        if any(not 0 <= share <= 1 for share in rest):
            raise self._refuse(f"{name} takes a share between 0 and 1, found {rest[0]}")
        return Call(name, series, window, tuple(rest))

    def _number(self, name: str, argument: ast.expr) -> float:
        node = self.read(argument)
        if not isinstance(node, Number):
            raise self._refuse(f"{name} takes a plain number where {ast.unparse(argument)!r} stands")
        return node.value

    def _window(self, name: str, value: float, kind: Kind) -> int:
        # 0 means "since the first session" to pyqlib: such a value changes with the start of the data.
        least = -LONGEST_WINDOW if kind is Kind.SHIFT else 1
        if value != int(value) or not least <= value <= LONGEST_WINDOW or value == 0:
            raise self._refuse(
                f"the window of {name} is a whole number of sessions, 1 to {LONGEST_WINDOW}, found {value}"
            )
        return int(value)

    def _refuse(self, reason: str) -> ExpressionRefused:
        return ExpressionRefused(f"Expression {self.text!r}: {reason.replace(_FIELD, '$')}. Change the expression.")
