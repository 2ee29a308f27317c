"""A rule book: one file of dated rows, checked once, then trusted."""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from quant_pipelines.documents import BadDocument, Entry, closest, mistakes, read_document
from quant_pipelines.errors import OperatorActionRequired

Status = Literal["normal", "st"]

_PACKAGED = Path(__file__).parent
_ONE_DAY = timedelta(days=1)
_BASIS_POINTS = 10_000


class UnknownRules(OperatorActionRequired):
    """A rule book that nobody wrote."""

    code = "QP121"


class UnknownBoard(OperatorActionRequired):
    """A symbol that a rule book cannot place."""

    code = "QP122"


class Dated(Entry, frozen=True):
    """A row that holds from one date to another, both included; an open end is left away."""

    first: date | None = Field(default=None, alias="from")
    last: date | None = Field(default=None, alias="to")

    def holds_on(self, day: date) -> bool:
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)


class Board(Entry, frozen=True):
    """A group of symbols that trade alike: `pattern` is matched against the whole symbol."""

    name: str
    pattern: str
    lot_minimum: Annotated[Decimal, Field(gt=0)]
    lot_increment: Annotated[Decimal, Field(gt=0)]

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"a regular expression ({error})") from error
        return value


class PriceLimit(Dated, frozen=True):
    """How far a board's price may move from the reference; null means any distance.

    The first `free_sessions` sessions of a listing that falls into this row know no limit.
    """

    board: str
    status: Status = "normal"
    band: Annotated[Decimal, Field(gt=0, lt=1)] | None
    free_sessions: Annotated[int, Field(ge=0)] = 0

    @field_validator("band")
    @classmethod
    def _in_basis_points(cls, value: Decimal | None) -> Decimal | None:
        if value is not None and value * _BASIS_POINTS % 1:
            raise ValueError("a fraction with at most four decimals, such as 0.10")
        return value


class Rate(Dated, frozen=True):
    """A fraction of the traded amount."""

    rate: Annotated[Decimal, Field(ge=0, lt=1)]


class Commission(Entry, frozen=True):
    """The broker's fee, on both sides: a fraction of the amount, at least `minimum` per order."""

    rate: Annotated[Decimal, Field(ge=0, lt=1)]
    minimum: Annotated[Decimal, Field(ge=0)]


Row = TypeVar("Row", bound=Dated)


class RuleBook(Entry, frozen=True):
    """One file of trading rules. Nothing has a default: a limit nobody wrote down is a limit nobody chose."""

    name: str
    description: str
    tick: Annotated[Decimal, Field(gt=0, le=1)]
    sellable_after_sessions: Annotated[int, Field(ge=0)]
    boards: Annotated[tuple[Board, ...], Field(min_length=1)]
    limits: tuple[PriceLimit, ...]
    commission: Commission
    sell_tax: tuple[Rate, ...]
    transfer_fee: tuple[Rate, ...]

    @field_validator("tick")
    @classmethod
    def _divides_one(cls, value: Decimal) -> Decimal:
        if 1 % value:
            raise ValueError("a part of 1, such as 0.01")
        return value

    @field_validator("sell_tax", "transfer_fee")
    @classmethod
    def _rates_follow(cls, rows: tuple[Rate, ...]) -> tuple[Rate, ...]:
        _require_unbroken(rows, "rates")
        return rows

    @model_validator(mode="after")
    def _limits_follow(self) -> "RuleBook":
        names = [board.name for board in self.boards]
        if len(set(names)) < len(names):
            raise ValueError(f"each board once, but the boards are {names}")
        strangers = {row.board for row in self.limits} - set(names)
        if strangers:
            raise ValueError(f"limits of known boards ({names}), but there are some of {sorted(strangers)}")
        for name in names:
            _require_unbroken(self._rows(name, "normal"), f"limits of {name}")
            if special := self._rows(name, "st"):
                _require_unbroken(special, f"st limits of {name}")
        return self

    def _rows(self, board: str, status: Status) -> list[PriceLimit]:
        return [row for row in self.limits if row.board == board and row.status == status]

    @property
    def ticks_per_unit(self) -> int:
        return int(1 / self.tick)

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(board.pattern) for board in self.boards)

    def board_of(self, symbol: str) -> Board:
        """The one board whose pattern fits the symbol."""
        fitting = [b for b, pattern in zip(self.boards, self._patterns, strict=True) if pattern.fullmatch(symbol)]
        if len(fitting) == 1:
            return fitting[0]
        found = f"fits {' and '.join(each.name for each in fitting)}" if fitting else "fits none of its boards"
        raise UnknownBoard(
            f"{symbol!r} {found} in the rules {self.name}, where every symbol fits one of "
            f"{', '.join(board.name for board in self.boards)}. Correct the symbol's spelling, leave it out of the "
            "universe, or name other rules in the market's entry."
        )

    def limit_on(self, board: str, day: date, *, is_st: bool = False) -> PriceLimit:
        """The row in force. A board without rows of its own for ST treats them like everybody else."""
        rows = (self._rows(board, "st") if is_st else None) or self._rows(board, "normal")
        return in_force(rows, day)


def in_force(rows: Sequence[Row], day: date) -> Row:
    """The one row that holds on a day; the rows of a book leave no gap."""
    return next(row for row in rows if row.holds_on(day))


def _require_unbroken(rows: Sequence[Dated], what: str) -> None:
    """Every day has exactly one row: a gap or an overlap is somebody's mistake, and both are refused."""
    if not rows:
        raise ValueError(f"at least one row of {what}; write a row without dates if nothing ever changed")
    ordered = sorted(rows, key=lambda row: row.first or date.min)
    if ordered[0].first is not None or ordered[-1].last is not None:
        raise ValueError(f"{what} from the beginning to the end of time; leave the first `from` and the last `to` away")
    for before, after in pairwise(ordered):
        if before.last is None or after.first is None or after.first <= before.last:
            raise ValueError(f"{what} without an overlap, but {_span(before)} and {_span(after)} overlap")
        if after.first != before.last + _ONE_DAY:
            raise ValueError(f"{what} without a gap, but none holds between {before.last} and {after.first}")


def _span(row: Dated) -> str:
    return f"{row.first or 'the beginning'} to {row.last or 'today'}"


def packaged_rules() -> tuple[str, ...]:
    """The names that a market's `rules` may have."""
    return tuple(sorted(path.stem for path in _PACKAGED.glob("*.yaml")))


@cache
def load_rules(name: str) -> RuleBook:
    """The packaged rule book of that name."""
    if name not in packaged_rules():
        raise UnknownRules(f"There are no trading rules {name!r}; {closest(name, packaged_rules())}")
    return read_rules(_PACKAGED / f"{name}.yaml")


def read_rules(path: Path) -> RuleBook:
    """Read and check one rule file; all its mistakes are in one message."""
    document = read_document(path)
    value = document.value if isinstance(document.value, dict) else {}
    try:
        book = RuleBook.model_validate({**value, "name": path.stem})
    except ValidationError as error:
        raise BadDocument(path, [*document.problems, *mistakes(error, document, (), RuleBook)]) from error
    if document.problems:
        raise BadDocument(path, document.problems)
    return book
