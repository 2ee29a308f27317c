"""One line of a decision: a number that was found, the one that was needed, and whether it was enough."""

import math
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Literal

from quant_pipelines.documents import Entry
from quant_pipelines.evaluation.evidence import Evidence

Outcome = Literal["passed", "failed", "not_judged"]
Group = Literal["rule", "guard", "tripwire", "gate"]
Way = Literal["at_least", "at_most", "above", "below"]

SIGNS: Mapping[Way, str] = {"at_least": ">=", "at_most": "<=", "above": ">", "below": "<"}
# 0.35 - 0.30 is 0.04999999999999999 in binary: differences are rounded to so many decimals before they are compared,
# so a number within 5e-13 of the boundary stands on it. Rounding keeps the order, so nothing worse is let through.
_DECIMALS = 12
_SHOWN = Decimal("0.0001")
# Beyond it no four decimals are of interest, and decimals would run out of digits.
_LARGEST_SHOWN = 1e9


class Line(Entry, frozen=True):
    """What was asked of the candidate, and the answer. `would_pass` says what a failed line would have needed."""

    name: str
    group: Group
    found: float | None
    way: Way
    needed: float
    outcome: Outcome
    sentence: str
    would_pass: str | None = None

    @property
    def needs(self) -> str:
        """What was needed, as a person writes it."""
        return f"{SIGNS[self.way]} {self.needed:.6g}"

    def switched_off(self, why: str) -> "Line":
        """The same numbers, without a judgement."""
        return self.model_copy(update={"outcome": "not_judged", "sentence": why, "would_pass": None})


def holds(found: float, way: Way, needed: float) -> bool:
    """Whether a number is on the right side of a boundary, or on it where that is enough."""
    distance = round(found - needed, _DECIMALS)
    return {"at_least": distance >= 0, "at_most": distance <= 0, "above": distance > 0, "below": distance < 0}[way]


def line(
    name: str, group: Group, found: float | None, bound: tuple[Way, float], says: str, *, wants: str | None = None
) -> Line:
    """The line of a number that must be known: null fails. `says` is the sentence, `wants` the number's name."""
    way, needed = bound
    known = found is not None
    passed = known and holds(found, way, needed)
    return Line(
        name=name,
        group=group,
        found=found,
        way=way,
        needed=needed,
        outcome="passed" if passed else "failed",
        sentence=says if known else f"{says} There is no such number, and what is not known never deploys.",
        would_pass=None if passed else f"{wants or name} {SIGNS[way]} {shown(needed, way)}",
    )


def unjudged(name: str, group: Group, bound: tuple[Way, float], says: str, *, found: float | None = None) -> Line:
    """The line of something that was not there to be judged."""
    way, needed = bound
    return Line(name=name, group=group, found=found, way=way, needed=needed, outcome="not_judged", sentence=says)


def shown(needed: float, way: Way) -> str:
    """A boundary with few digits, rounded to the side on which it is still true that passing it is enough."""
    towards = ROUND_CEILING if way in ("at_least", "above") else ROUND_FLOOR
    if not abs(needed) < _LARGEST_SHOWN:
        return f"{needed:.6g}"
    exact = Decimal(repr(round(needed, _DECIMALS)))
    few = exact.quantize(_SHOWN, towards)
    return f"{few.normalize():f}" if few else f"{needed:.6g}"


def on_record(evidence: Evidence) -> Evidence:
    """The evidence as JSON can hold it: null for a number that is not finite; shares that are none are left out."""
    plain: dict[str, Any] = _finite(evidence.model_dump())
    for which in ("candidate", "champion"):
        seen = plain[which]
        if seen is not None and None in seen["shares"].values():
            seen["shares"] = {}
    return Evidence.model_validate(plain)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
