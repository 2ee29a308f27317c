"""A decision in plain words, paragraph by paragraph."""

from collections.abc import Iterator

from quant_pipelines.calendars import session_key
from quant_pipelines.deployment.decision import Decision
from quant_pipelines.deployment.lines import Line
from quant_pipelines.deployment.page import HEADLINES, number, parts
from quant_pipelines.evaluation.evidence import Evidence

_ANSWERS = {"passed": "This passed.", "failed": "This failed."}


def explained(decision: Decision) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Titles, each with its sentences: verdict, what was compared, rule, guards and gates, and the nearest flip."""
    yield HEADLINES[decision.verdict], (decision.reason,)
    yield "What was compared", tuple(_compared(decision.evidence))
    for title, about, lines in parts(decision.lines):
        yield title, (about, *(_asked(each) for each in lines))
    if decision.policy.policy == "as_specified":
        yield "What was left out", ("The policy is `as_specified`: the rule alone decides, guards and gates are off.",)
    if decision.flip is not None:
        yield "The nearest flip", (f"It {decision.flip}.",)


def _compared(evidence: Evidence) -> Iterator[str]:
    candidate = evidence.candidate.version
    if evidence.first_session is None or evidence.last_session is None:
        yield f"Nothing: {candidate} has no sessions to be judged by."
    else:
        span = f"{session_key(evidence.first_session)} to {session_key(evidence.last_session)}"
        rows = f"{evidence.rows} rows of {evidence.sessions} sessions, {span}"
        if evidence.champion is None:
            yield f"{candidate} stood alone on {rows}, which it had not seen: there was no champion."
        else:
            yield f"{candidate} and the champion {evidence.champion.version} on {rows}, which neither had seen."
    yield (
        f"Other candidates judged on these sessions before: {evidence.reads}; trainings of the strategy begun by then: "
        f"{evidence.trials}. The more there are, the likelier one of them is good by luck."
    )


def _asked(line: Line) -> str:
    if line.outcome == "not_judged":
        return f"{line.name}, which needs {line.needs}, was not judged. {line.sentence}"
    return f"{line.name} is {number(line.found)}, needed was {line.needs}. {_ANSWERS[line.outcome]} {line.sentence}"
