"""One thing that is on record, beside what was found when it was done again."""

import math
from collections.abc import Iterator
from typing import Any, Literal

from quant_pipelines.deployment import Decision
from quant_pipelines.documents import Entry
from quant_pipelines.evaluation.evidence import Evidence

Outcome = Literal["same", "within", "different", "not_asked"]
Part = Literal["data", "rule", "training", "holdout", "decision"]
Value = str | float | None

# What a reader of the holdout is told, and does not find out.
_TOLD = frozenset({"market", "strategy", "snapshot_id", "reads", "trials", "incremental"})
_NAMES = {"version", "version_id"}
_UNSPOKEN = frozenset({"value", "measures"})


class Check(Entry, frozen=True):
    """`within` is a number inside the tolerance; `not_asked` is shown, and judged by something else."""

    part: Part
    name: str
    recorded: Value
    found: Value
    outcome: Outcome


def agreement(recorded: float | None, found: float | None, tolerance: float) -> Outcome:
    """Whether two numbers are equal, or differ by a share of the larger one that is small enough."""
    if recorded == found:
        return "same"
    if recorded is None or found is None:
        return "different"
    apart, most = abs(recorded - found), tolerance * max(abs(recorded), abs(found))
    return "within" if apart <= most else "different"


def check(part: Part, name: str, recorded: Any, found: Any, *, tolerance: float = 0.0) -> Check:
    """Compare two values: numbers with the tolerance, everything else as text. What is no number is null."""
    then, now = _plain(recorded), _plain(found)
    if isinstance(then, str) or isinstance(now, str):
        outcome: Outcome = "same" if then == now else "different"
    else:
        outcome = agreement(then, now, tolerance)
    return Check(part=part, name=name, recorded=then, found=now, outcome=outcome)


def evidence_checks(recorded: Evidence, found: Evidence, tolerance: float) -> Iterator[Check]:
    """Every value that reading the holdout finds out."""
    left_out = {**dict.fromkeys(_TOLD, True), "candidate": _NAMES, "champion": _NAMES}
    then, now = (dict(_leaves(each.model_dump(mode="json", exclude=left_out))) for each in (recorded, found))
    for name in {**then, **now}:
        yield check("holdout", name, then.get(name), now.get(name), tolerance=tolerance)


def decision_checks(part: Part, recorded: Decision, found: Decision, tolerance: float) -> Iterator[Check]:
    """The verdict, and each line's number and answer."""
    yield check(part, "verdict", recorded.verdict, found.verdict)
    then, now = ({each.name: each for each in decision.lines} for decision in (recorded, found))
    for name in {**then, **now}:
        old, new = then.get(name), now.get(name)
        yield check(part, name, old and old.found, new and new.found, tolerance=tolerance)
        yield check(part, f"{name}, needed", old and old.needed, new and new.needed)
        yield check(part, f"{name}, answer", old and old.outcome, new and new.outcome)


def _leaves(value: Any, *names: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _leaves(each, *names, name)
    else:
        yield " ".join(each for each in names if each not in _UNSPOKEN), None if value == {} else value


def _plain(value: Any) -> Value:
    if value is None or isinstance(value, str):
        return value
    return float(value) if math.isfinite(value) else None
