"""The user's rule: the F1 gains enough, or the MSE is a good deal smaller than the champion's (S3-14)."""

from collections.abc import Sequence

from quant_pipelines.deployment.lines import Line, line, shown, unjudged
from quant_pipelines.evaluation.evidence import Evidence, Gain
from quant_pipelines.strategies import Deployment

F1, MSE = "f1", "mse"
F1_GAIN, MSE_RATIO = "f1_gain", "mse_ratio"


def rule_lines(evidence: Evidence, policy: Deployment) -> tuple[Line, Line]:
    """Both ways of the rule. Either is enough; the same F1 and the same MSE are none, so ties keep the champion."""
    return _f1(evidence, policy), _mse(evidence, policy)


def rule_passes(lines: Sequence[Line]) -> bool:
    return any(each.outcome == "passed" for each in lines if each.group == "rule")


def gain_of(evidence: Evidence, way: str) -> Gain | None:
    """The comparison that a way of the rule looks at."""
    return evidence.gains.get(F1) if way == F1_GAIN else evidence.mse_ratio


def nearest(evidence: Evidence, policy: Deployment, lines: Sequence[Line]) -> Line | None:
    """Of the ways that failed, the one that was missed by least, relative to what it needs."""
    open_ways = [each for each in lines if each.group == "rule" and each.outcome == "failed" and each.found is not None]
    if policy.policy == "guarded" and policy.mse_ratio <= policy.tripwire_mse_ratio:
        # An MSE as small as that would have been taken for a leak.
        open_ways = [each for each in open_ways if each.name != MSE_RATIO]
    return min(open_ways, key=lambda each: _missing(evidence, each), default=None)


def _f1(evidence: Evidence, policy: Deployment) -> Line:
    says = "The candidate's F1 minus the champion's, on the same rows."
    bound = ("above", 0.0) if policy.f1_gain == 0 else ("at_least", policy.f1_gain)
    gain = evidence.gains.get(F1)
    if evidence.champion is None or gain is None:
        return unjudged(F1_GAIN, "rule", bound, _nobody(evidence, "F1"))
    found = line(F1_GAIN, "rule", gain.value, bound, says, wants="an F1 gain")
    f1 = _measure(evidence, F1)
    if found.outcome == "passed" or gain.value is None or f1 is None:
        return found
    needed = f1 + bound[1] - gain.value
    sign = ">" if bound[0] == "above" else ">="
    return found.model_copy(update={"would_pass": f"F1 {sign} {shown(needed, bound[0])}"})


def _mse(evidence: Evidence, policy: Deployment) -> Line:
    says = "The candidate's MSE divided by the champion's, on the same rows."
    bound = ("below", 1.0) if policy.mse_ratio == 1 else ("at_most", policy.mse_ratio)
    ratio = evidence.mse_ratio
    if evidence.champion is None or ratio is None:
        return unjudged(MSE_RATIO, "rule", bound, _nobody(evidence, "MSE"))
    return line(MSE_RATIO, "rule", ratio.value, bound, says, wants="an MSE ratio")


def _nobody(evidence: Evidence, measure: str) -> str:
    if evidence.champion is None:
        return "There is no champion to compare with."
    return f"The two have no {measure} that could be compared."


def _measure(evidence: Evidence, name: str) -> float | None:
    estimate = evidence.candidate.measures.get(name)
    return None if estimate is None else estimate.value


def _missing(evidence: Evidence, failed: Line) -> float:
    found = failed.found or 0.0
    if failed.name == MSE_RATIO:
        return 1 - failed.needed / found if found > 0 else 0.0
    short = failed.needed - found
    return short / max(abs((_measure(evidence, F1) or 0.0) + short), short) if short > 0 else 0.0
