"""The decision about one candidate: a pure function of what was seen and of the strategy's policy (X-20, X-21)."""

from collections.abc import Iterable
from typing import Literal

from pydantic import ValidationError

from quant_pipelines.deployment.failures import UnknownDecision
from quant_pipelines.deployment.gates import gate_lines
from quant_pipelines.deployment.guards import (
    ANOTHER,
    FINITE,
    always_lines,
    comparison_lines,
    degenerate_lines,
    incremental_lines,
    tripwire_lines,
)
from quant_pipelines.deployment.lines import Line, on_record
from quant_pipelines.deployment.rule import nearest, rule_lines, rule_passes
from quant_pipelines.digest import digest_json
from quant_pipelines.documents import Entry
from quant_pipelines.evaluation.evidence import Evidence
from quant_pipelines.journal import Journal, JournalDamaged, Kind, Row
from quant_pipelines.strategies import Deployment

Verdict = Literal["promoted", "rejected", "quarantined", "insufficient_observation", "unvalidated"]
# With these a candidate goes live.
GO: frozenset[Verdict] = frozenset({"promoted", "unvalidated"})

# Fewer digits of an id name nothing for sure.
SHORTEST_ID = 6

_AS_SPECIFIED = "Switched off by `policy: as_specified`."
_UNVALIDATED = "Not asked: this candidate goes live without a validation."
_FIRST_OF_ALL = "Switched off by `gate_first: false`: a first model need not show that it knows anything."
_NO_EVIDENCE = "Not judged: there is too little to judge by."


class Decision(Entry, frozen=True):
    """What was seen, the policy, what was asked and answered line by line, and the verdict with its reason.

    `flip` says what the candidate would have needed; it is there for a rejected one that could have passed.
    """

    evidence: Evidence
    policy: Deployment
    verdict: Verdict
    lines: tuple[Line, ...]
    reason: str
    flip: str | None = None

    @property
    def id(self) -> str:
        """The decision's name by its content: equal evidence under an equal policy is the same decision."""
        return digest_json(self.model_dump(mode="json"))

    @property
    def model(self) -> str:
        """The name of all versions of this strategy's model, and the journal's subject."""
        return f"{self.evidence.market}.{self.evidence.strategy}"

    @property
    def goes_live(self) -> bool:
        return self.verdict in GO


DECISION = Kind("decision", Decision)


def decide(evidence: Evidence, policy: Deployment) -> Decision:
    """Judge a candidate. The user's rule is always evaluated and recorded; NaN and null never deploy."""
    seen = on_record(evidence)
    lines = tuple(_lines(seen, policy))
    verdict, reason = _verdict(seen, policy, lines)
    flip = _flip(seen, policy, lines) if verdict == "rejected" else None
    return Decision(evidence=seen, policy=policy, verdict=verdict, lines=lines, reason=reason, flip=flip)


def record(journal: Journal, decision: Decision, *, actor: str) -> Row:
    """Put the decision on record, whatever it says; recording it again changes nothing."""
    entry = DECISION.entry(decision, subject=decision.model, actor=actor)
    return journal.append_once(decision_key(decision.id), entry)


def recorded(journal: Journal, decision_id: str) -> tuple[Row, Decision] | None:
    """The decision of this id, and the row that keeps it."""
    row = journal.with_key(decision_key(decision_id))
    return None if row is None else (row, _read(row))


def decisions(journal: Journal, model: str | None = None) -> list[tuple[Row, Decision]]:
    """Every decision, or those about one model, in the journal's order, each with the row that keeps it."""
    return [(row, _read(row)) for row in journal.rows(kind=DECISION.name, subject=model)]


def decision_named(journal: Journal, beginning: str) -> tuple[Row, Decision]:
    """The one decision whose id begins so."""
    rows = [row for row in journal.rows(kind=DECISION.name) if recorded_id(row).startswith(beginning)]
    if len(rows) != 1 or len(beginning) < SHORTEST_ID:
        raise UnknownDecision(beginning, [recorded_id(row) for row in rows])
    return rows[0], _read(rows[0])


def recorded_id(row: Row) -> str:
    """The decision's id when it was recorded; code with more fields than that would name it otherwise."""
    return (row.key or "").removeprefix(decision_key(""))


def judged(journal: Journal, model: str) -> list[tuple[str, Verdict]]:
    """What was decided about which version id, in the journal's order."""
    rows = journal.rows(kind=DECISION.name, subject=model)
    return [(row.payload["evidence"]["candidate"]["version_id"], row.payload["verdict"]) for row in rows]


def cited(journal: Journal, model: str) -> frozenset[str]:
    """The ids of the versions that a decision to go live was about or compared with; none is ever trimmed (X-17).

    Of a rejected candidate the decision stays, its files need not (S3-15, S3-74).
    """
    rows = [row for row in journal.rows(kind=DECISION.name, subject=model) if row.payload["verdict"] in GO]
    seen = [row.payload["evidence"][which] for row in rows for which in ("candidate", "champion")]
    return frozenset(each["version_id"] for each in seen if each is not None)


def decision_key(decision_id: str) -> str:
    return f"decision:{decision_id}"


def _read(row: Row) -> Decision:
    """A decision as it was written. A field that is younger than the row has its default."""
    try:
        return Decision.model_validate(row.payload)
    except ValidationError as error:
        raise JournalDamaged(f"Row {row.sequence} does not hold a decision: {error}.") from error


def is_unvalidated(evidence: Evidence, policy: Deployment) -> bool:
    """Whether nobody wants to know how good the candidate is (S3-16, X-21)."""
    return not policy.post_training_validation or (evidence.incremental and not policy.gate_incremental)


def _lines(evidence: Evidence, policy: Deployment) -> Iterable[Line]:
    """Rule, guards and gates in the order in which they are read. What a policy leaves out is there, unjudged."""
    rule, always = rule_lines(evidence, policy), tuple(always_lines(evidence))
    degenerate = tuple(degenerate_lines(evidence))
    rest = (*tripwire_lines(evidence, policy), *gate_lines(evidence, policy))
    if is_unvalidated(evidence, policy):
        return (*rule, *always, *_off((*degenerate, *rest), _UNVALIDATED))
    if evidence.status != "ok":
        return (*rule, *_off((*always, *degenerate, *rest), _NO_EVIDENCE))
    if evidence.incremental and evidence.champion is not None:
        compared = tuple(incremental_lines(evidence))
        if policy.policy == "as_specified":
            rest = _off(rest, _AS_SPECIFIED)
        return (*rule, *always, *degenerate, *compared, *rest)
    compared = tuple(comparison_lines(evidence, policy))
    if evidence.champion is None and not policy.gate_first:
        compared = _off(compared, _FIRST_OF_ALL)
    if policy.policy == "as_specified":
        compared, rest = _off(compared, _AS_SPECIFIED), _off(rest, _AS_SPECIFIED)
        # A first model has no rule to pass, so it has to be a model at least.
        degenerate = degenerate if evidence.champion is None else _off(degenerate, _AS_SPECIFIED)
    return (*rule, *always, *degenerate, *compared, *rest)


def _off(lines: Iterable[Line], why: str) -> tuple[Line, ...]:
    return tuple(each.switched_off(why) for each in lines)


def _verdict(evidence: Evidence, policy: Deployment, lines: tuple[Line, ...]) -> tuple[Verdict, str]:
    failed = {each.name: each for each in lines if each.outcome == "failed" and each.group != "rule"}
    if is_unvalidated(evidence, policy):
        return ("rejected", failed_text(failed.values())) if failed else ("unvalidated", _why_unvalidated(policy))
    if evidence.status != "ok":
        return "insufficient_observation", _why_nothing(evidence)
    refused = _refused(evidence, lines, failed)
    return refused or ("promoted", _why_promoted(evidence, policy, lines))


def _refused(evidence: Evidence, lines: tuple[Line, ...], failed: dict[str, Line]) -> tuple[Verdict, str] | None:
    """What speaks against it. Suspected leaks come before the rule: they have to be looked at either way."""
    if FINITE in failed or ANOTHER in failed:
        return "rejected", failed_text(failed.values())
    if tripped := [each for each in failed.values() if each.group == "tripwire"]:
        return "quarantined", f"Too good to be true, so it does not go live: {failed_text(tripped)}"
    if _needs_rule(evidence) and not rule_passes(lines):
        return "rejected", _why_rule(lines)
    return ("rejected", failed_text(failed.values())) if failed else None


def _needs_rule(evidence: Evidence) -> bool:
    return evidence.champion is not None and not evidence.incremental


def failed_text(lines: Iterable[Line]) -> str:
    """What failed, with the numbers."""
    return " ".join(f"{each.name} is {_number(each.found)}, needed was {each.needs}. {each.sentence}" for each in lines)


def _why_unvalidated(policy: Deployment) -> str:
    if not policy.post_training_validation:
        return "It goes live at once: this strategy has `post_training_validation: false`. Nobody has judged it."
    return "It goes live at once: incremental trainings have `gate_incremental: false`. Nobody has judged it."


def _why_nothing(evidence: Evidence) -> str:
    if evidence.status == "champion_overlap":
        why = "the champion has seen some of these sessions in its training, so the two cannot be compared on them"
    else:
        why = f"{evidence.rows} rows of {evidence.sessions} sessions are too little to judge by"
    told = f" {evidence.reason}" if evidence.reason else ""
    return f"No deployment, and no evidence either way: {why}.{told}"


def _why_rule(lines: Iterable[Line]) -> str:
    ways = [each for each in lines if each.group == "rule"]
    told = "; ".join(
        f"{each.name} is {_number(each.found)}, needed was {each.needs}"
        if each.outcome == "failed"
        else f"{each.name} was not judged: {each.sentence[0].lower()}{each.sentence[1:].rstrip('.')}"
        for each in ways
    )
    return f"It is not enough better than the champion, which stays: {told}."


def _why_promoted(evidence: Evidence, policy: Deployment, lines: tuple[Line, ...]) -> str:
    off = " Guards and gates were switched off by `policy: as_specified`." if policy.policy == "as_specified" else ""
    if evidence.champion is None:
        return f"It is the first model of this strategy, and nothing that was asked speaks against it.{off}"
    if evidence.incremental:
        return f"It was trained further, and is not significantly worse than the champion.{off}"
    passed = [each for each in lines if each.group == "rule" and each.outcome == "passed"]
    told = " and ".join(f"{each.name} is {_number(each.found)}, needed was {each.needs}" for each in passed)
    rest = "" if off else " No guard and no gate speaks against it."
    return f"It is enough better than the champion: {told}.{rest}{off}"


def _flip(evidence: Evidence, policy: Deployment, lines: tuple[Line, ...]) -> str | None:
    """The nearest numbers with which it would have passed."""
    failed = [each for each in lines if each.outcome == "failed" and each.group != "rule"]
    if any(each.name in (FINITE, ANOTHER) for each in failed):
        return None
    wanted = [each.would_pass for each in failed]
    also = ""
    if not is_unvalidated(evidence, policy) and _needs_rule(evidence) and not rule_passes(lines):
        way = nearest(evidence, policy, lines)
        if way is None:
            return None
        wanted = [way.would_pass, *wanted]
        also = ", unless luck had explained the gain" if policy.policy == "guarded" else ""
    return f"would have passed with {' and '.join(each for each in wanted if each)}{also}"


def _number(found: float | None) -> str:
    return "not known" if found is None else f"{found:.6g}"
