"""Hyper-parameters as data: name, default, meaning and range. The launchpad, the docs and the refusals read them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

Value = bool | int | float | str
Values = Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Values that a search tries, both ends included; evenly by their logarithm where `log`."""

    low: float
    high: float
    log: bool = False

    def holding(self, value: float) -> "Range":
        """The range, widened to a value that must be in it."""
        return replace(self, low=min(self.low, value), high=max(self.high, value))


# A range, or the values themselves.
Searched = Range | tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One hyper-parameter. Its type is that of its default; `above` and `below` are not values themselves.

    `searched` is what a search tries unless told otherwise; None: it leaves the parameter alone.
    """

    name: str
    default: Value
    description: str
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    searched: Searched | None = None

    def mistake(self, value: object) -> str | None:
        """What is wrong with a value, and what would be right; None where nothing is."""
        if not self._has_type(value):
            return f"found {value!r}, but {self.name} is {self.range}"
        if isinstance(value, int | float) and not isinstance(value, bool) and not self._in_range(value):
            return f"found {value!r}, but {self.name} is {self.range}"
        if self.choices and value not in self.choices:
            return f"found {value!r}, but {self.name} is {self.range}"
        return None

    @property
    def range(self) -> str:
        """Which values there are, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if isinstance(self.default, bool):
            return "true or false"
        if isinstance(self.default, str):
            return "a text"
        limits = {">=": self.least, ">": self.above, "<=": self.most, "<": self.below}
        words = " and ".join(f"{sign} {limit:g}" for sign, limit in limits.items() if limit is not None)
        return ("a whole number " if isinstance(self.default, int) else "a number ") + (words or "of any size")

    def _has_type(self, value: object) -> bool:
        if isinstance(self.default, bool) or isinstance(value, bool):
            return isinstance(self.default, bool) and isinstance(value, bool)
        if isinstance(self.default, float):
            return isinstance(value, int | float)
        return isinstance(value, type(self.default))

    def _in_range(self, value: float) -> bool:
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and value == value  # noqa: PLR0124 - NaN alone differs from itself
        )
