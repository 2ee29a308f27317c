"""A decision as one HTML page in plain words that needs nothing beside it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from quant_pipelines.calendars import Session
from quant_pipelines.deployment.decision import Decision, Verdict
from quant_pipelines.deployment.lines import Group, Line
from quant_pipelines.evaluation.evidence import Estimate, Evidence, Gain
from quant_pipelines.journal import Row
from quant_pipelines.training.page import rendered

_TEMPLATE = Path(__file__).with_name("decision.html")
HEADLINES: dict[Verdict, str] = {
    "promoted": "Promoted: the rollout may begin.",
    "rejected": "Rejected: nothing changes.",
    "quarantined": "Quarantined: nothing changes until somebody has read the leakage report.",
    "insufficient_observation": "Not decided: too little was observed. Nothing changes.",
    "unvalidated": "Live without a validation.",
}
PARTS: tuple[tuple[str, str, tuple[Group, ...]], ...] = (
    ("The rule", "One of the two is enough.", ("rule",)),
    ("Guards", "Each of them must hold.", ("guard",)),
    ("Tripwires", "Numbers that are too good to be true.", ("tripwire",)),
    ("Gates", "What the candidate must reach by itself.", ("gate",)),
)


def decision_page(decision: Decision, row: Row | None = None) -> str:
    """The page; of a decision on record with the row that keeps it. Equal decisions make equal pages."""
    return rendered(
        _TEMPLATE,
        decision=decision,
        row=row,
        headline=HEADLINES[decision.verdict],
        parts=list(parts(decision.lines)),
        measures=list(measures(decision.evidence)),
        policy=policy_facts(decision),
        number=number,
        session=_session,
        moment=_moment,
    )


def policy_facts(decision: Decision) -> dict[str, str]:
    """The policy that was used, field by field."""
    return {name: _shown(name, value) for name, value in decision.policy.model_dump(mode="json").items()}


def parts(lines: tuple[Line, ...]) -> Iterator[tuple[str, str, list[Line]]]:
    """The lines by group, each with its title and what it means."""
    for title, about, groups in PARTS:
        if found := [each for each in lines if each.group in groups]:
            yield title, about, found


def measures(evidence: Evidence) -> Iterator[tuple[str, ...]]:
    """Each measure: the candidate's, the champion's, the gain, and the chance that luck explains it."""
    champion = {} if evidence.champion is None else evidence.champion.measures
    for name in sorted({*evidence.candidate.measures, *champion, *evidence.gains}):
        gain = evidence.gains.get(name)
        yield (
            name,
            interval(evidence.candidate.measures.get(name)),
            interval(champion.get(name)),
            interval(gain),
            "" if gain is None else number(gain.luck),
        )
    if (ratio := evidence.mse_ratio) is not None:
        yield "mse, candidate / champion", "", "", interval(ratio), number(ratio.luck)


def interval(found: Estimate | Gain | None) -> str:
    """A number with its interval, where it has one."""
    if found is None:
        return ""
    if found.low is None or found.high is None:
        return number(found.value)
    return f"{number(found.value)} [{number(found.low)}, {number(found.high)}]"


def number(found: float | None) -> str:
    """A number with the digits that a person reads."""
    return "not known" if found is None else f"{found:.6g}"


def _session(label: Session) -> str:
    return label.isoformat(sep=" ").removesuffix(" 00:00:00")


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _shown(field: str, value: object) -> str:
    if value is None:
        return "the model kind's" if field == "ladder" else "off"
    return str(value)
