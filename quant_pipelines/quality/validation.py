"""The suites, run by Great Expectations: the declared rules, proved against the fast ones on every run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.quality.examples import examples_of
from quant_pipelines.quality.expectations import Outcome, Suite
from quant_pipelines.quality.facts import Facts
from quant_pipelines.quality.rules import SCHEMA_RULE, Frames, Rule, Severity, Verdict, View

EXAMPLES = 5


class RulesDisagree(QuantPipelinesError):
    """The fast form of a rule and its expectation count differently: one of them is wrong."""

    code = "QP231"

    def __init__(self, rule: str, *, fast: Sequence[int], declared: Sequence[int]) -> None:
        super().__init__(
            f"Rule {rule} found {list(fast)} broken rows by its checks and {list(declared)} by Great Expectations; "
            "the two must be equal. Nothing was decided on them. Report this with the table's data version."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """What one rule found. `share` is a fraction of the view's rows."""

    rule: str
    severity: Severity
    view: str
    expects: str
    rows: int
    broken: int
    examples: tuple[str, ...]
    expectations: tuple[Outcome, ...]

    @property
    def success(self) -> bool:
        return self.broken == 0

    @property
    def share(self) -> float:
        return self.broken / self.rows if self.rows else 0.0

    def as_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "severity": self.severity.value,
            "success": self.success,
            "view": self.view,
            "expects": self.expects,
            "rows": self.rows,
            "broken": self.broken,
            "share": self.share,
            "examples": list(self.examples),
            "expectations": [outcome.as_json() for outcome in self.expectations],
        }


@dataclass(frozen=True, kw_only=True)
class ValidationReport:
    """Every rule's result. Rules that a wrong shape kept from running are named as skipped."""

    results: tuple[RuleResult, ...]
    skipped: tuple[str, ...] = ()

    @property
    def success(self) -> bool:
        """No hard rule is broken; soft findings do not block."""
        return not self.hard

    @cached_property
    def hard(self) -> tuple[RuleResult, ...]:
        return self._broken(Severity.HARD)

    @cached_property
    def soft(self) -> tuple[RuleResult, ...]:
        return self._broken(Severity.SOFT)

    def _broken(self, severity: Severity) -> tuple[RuleResult, ...]:
        return tuple(each for each in self.results if each.severity is severity and not each.success)

    def as_json(self) -> dict[str, Any]:
        """Plain values only: it survives a strict JSON encoder."""
        return {
            "success": self.success,
            "results": [each.as_json() for each in self.results],
            "skipped": list(self.skipped),
        }

    def table(self) -> list[dict[str, str | int | float]]:
        """One row per rule for display."""
        return [
            {
                "rule": each.rule,
                "severity": each.severity.value,
                "result": "held" if each.success else "broken",
                "broken": each.broken,
                "of": each.rows,
                "expected": each.expects,
                "example": each.examples[0] if each.examples else "",
            }
            for each in self.results
        ]


def validate(frame: pa.Table, suite_rules: Sequence[Rule], facts: Facts) -> ValidationReport:
    """Run the rules as Great Expectations suites, one per view, in a context that leaves nothing behind."""
    frames = Frames(frame, facts)
    shape = [rule for rule in suite_rules if rule.name == SCHEMA_RULE]
    others = [rule for rule in suite_rules if rule.name != SCHEMA_RULE]
    with Suite() as suite:
        found = _run(shape, frames, facts, suite)
        if any(not result.success for result in found.values()):
            return ValidationReport(results=tuple(found.values()), skipped=tuple(rule.name for rule in others))
        found |= _run(others, frames, facts, suite)
    return ValidationReport(results=tuple(found[rule.name] for rule in suite_rules))


def merged(reports: Sequence[ValidationReport]) -> ValidationReport:
    """One report over spans that were judged apart: counts add up, the first examples stay."""
    by_rule: dict[str, list[RuleResult]] = {}
    for report in reports:
        for result in report.results:
            by_rule.setdefault(result.rule, []).append(result)
    skipped = {rule for report in reports for rule in report.skipped}
    return ValidationReport(
        results=tuple(_added(results) for rule, results in by_rule.items() if rule not in skipped),
        skipped=tuple(sorted(skipped)),
    )


def _added(results: Sequence[RuleResult]) -> RuleResult:
    return replace(
        results[0],
        rows=sum(each.rows for each in results),
        broken=sum(each.broken for each in results),
        examples=tuple(example for each in results for example in each.examples)[:EXAMPLES],
        expectations=tuple(outcome for each in results for outcome in each.expectations),
    )


def _run(rules: Iterable[Rule], frames: Frames, facts: Facts, suite: Suite) -> dict[str, RuleResult]:
    by_view: dict[View, list[Rule]] = {}
    for rule in rules:
        by_view.setdefault(rule.view, []).append(rule)
    found: dict[str, RuleResult] = {}
    for view, of_view in by_view.items():
        frame = frames.of(view)
        outcomes = suite.run(view.name, frame, of_view, facts)
        for rule, each in zip(of_view, outcomes, strict=True):
            verdict = rule.judge(frame, facts)
            _require_agreement(verdict, each)
            found[rule.name] = RuleResult(
                rule=rule.name,
                severity=rule.severity,
                view=view.name,
                expects=rule.expects,
                rows=frame.rows,
                broken=int(verdict.mask.sum()),
                examples=tuple(examples_of(verdict, frame, count=EXAMPLES)),
                expectations=each,
            )
    return found


def _require_agreement(verdict: Verdict, outcomes: Sequence[Outcome]) -> None:
    fast = [int(np.count_nonzero(mask)) for mask in verdict.by_check]
    declared = [outcome.unexpected for outcome in outcomes]
    if fast != declared or any(outcome.success != (count == 0) for outcome, count in zip(outcomes, fast, strict=True)):
        raise RulesDisagree(verdict.rule.name, fast=fast, declared=declared)
