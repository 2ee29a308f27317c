"""Guards on top of the rule: what makes a candidate no model, its gain luck, or its numbers too good (X-20, X-21)."""

from collections.abc import Iterator
from typing import Literal

from quant_pipelines.deployment.gates import GATED
from quant_pipelines.deployment.lines import Line, Way, line, unjudged
from quant_pipelines.deployment.rule import F1, F1_GAIN, gain_of, rule_lines
from quant_pipelines.evaluation.evidence import Evidence, Gain
from quant_pipelines.strategies import Deployment

BALANCED_F1, IC, MCC = "balanced_f1", "ic", "mcc"
FINITE, ANOTHER = "finite", "another_version"
CONSTANT, ONE_CLASS = "not_constant", "not_one_class"
TRIPWIRES = ("tripwire_mse_ratio", "tripwire_ic")
# A stray forecast of another class among a hundred does not make it a model of two.
ONE_CLASS_SHARE = 0.99
_SCORES = 2.0
# An account that never lost has none of these. To call that unknown would reject a leak without a word about it.
_OVER_LOSSES = frozenset({"sortino", "calmar"})


def always_lines(evidence: Evidence) -> Iterator[Line]:
    """What holds under every policy: no number that is none goes live, and nothing that is live already."""
    yield _finite(evidence)
    same = evidence.champion is not None and evidence.champion.version_id == evidence.candidate.version_id
    says = "The candidate is the champion itself." if same else "The candidate is another model than the champion."
    yield line(ANOTHER, "guard", float(not same), ("at_least", 1.0), says, wants="models other than the champion")


def degenerate_lines(evidence: Evidence) -> Iterator[Line]:
    """A constant, or always the same class, is no model."""
    found = float(evidence.candidate.distinct)
    says = "How many different scores the candidate gave."
    yield line(CONSTANT, "guard", found, ("at_least", _SCORES), says, wants="different scores")
    says = "The share of forecasts that say the same: down, neutral or up."
    share = max(evidence.candidate.shares.values(), default=None)
    yield line(ONE_CLASS, "guard", share, ("below", ONE_CLASS_SHARE), says, wants="the largest class's share")


def comparison_lines(evidence: Evidence, policy: Deployment) -> Iterator[Line]:
    """Whether the gain is one: in balanced F1 too, and more than luck."""
    yield _balanced_f1(evidence)
    yield _significance(evidence, policy)


def incremental_lines(evidence: Evidence) -> Iterator[Line]:
    """X-21: what was trained further may not be significantly worse than what it came from."""
    f1, ratio = evidence.gains.get(F1), evidence.mse_ratio
    says = "The best that the gain in F1 may be, by its interval: below 0 the candidate is significantly worse."
    bound = ("at_least", 0.0)
    if f1 is None and ratio is not None:
        yield unjudged("f1_not_worse", "guard", bound, "The two have no F1 that could be compared.")
    elif evidence.champion is not None:
        yield line("f1_not_worse", "guard", _best(f1, "high"), bound, says, wants="the gain's upper end")
    if ratio is not None:
        says = "The best that the MSE ratio may be, by its interval: above 1 the candidate is significantly worse."
        yield line("mse_not_worse", "guard", _best(ratio, "low"), ("at_most", 1.0), says, wants="the ratio's lower end")


def tripwire_lines(evidence: Evidence, policy: Deployment) -> Iterator[Line]:
    """Numbers too good to be true: the best published IC of 0.05 makes an MSE ratio of 0.997 to a constant."""
    ratio = evidence.mse_ratio
    says = "A smaller ratio is taken for a leak, until the leakage report says that it is none."
    bound = ("above", policy.tripwire_mse_ratio)
    yield _where_known(TRIPWIRES[0], None if ratio is None else ratio.value, bound, says)
    estimate = evidence.candidate.measures.get(IC)
    says = "A larger IC is taken for a leak, until the leakage report says that it is none."
    yield _where_known(
        TRIPWIRES[1], None if estimate is None else estimate.value, ("at_most", policy.tripwire_ic), says
    )


def _finite(evidence: Evidence) -> Line:
    """Every forecast and every measure. The gates' measures are left to the gates."""
    seen = evidence.candidate
    missing = sum(each.value is None for name, each in seen.measures.items() if name not in GATED | _OVER_LOSSES)
    says = f"{seen.not_finite} forecasts and {missing} measures are no numbers. What is not known never deploys."
    found = float(seen.not_finite + missing)
    return line(FINITE, "guard", found, ("at_most", 0.0), says, wants="forecasts and measures without a number")


def _balanced_f1(evidence: Evidence) -> Line:
    bound = ("at_least", 0.0)
    gain = evidence.gains.get(BALANCED_F1)
    if evidence.champion is None or (gain is None and F1 not in evidence.gains):
        return unjudged(BALANCED_F1, "guard", bound, "There is nothing to compare it with.")
    says = "The gain in balanced F1, where every class counts the same: always saying up gains F1, but not this."
    return line(
        BALANCED_F1, "guard", None if gain is None else gain.value, bound, says, wants="the gain in balanced F1"
    )


def _significance(evidence: Evidence, policy: Deployment) -> Line:
    """Of the ways by which the rule passes, the one that luck explains least."""
    looks = max(1, evidence.reads + 1)
    if evidence.champion is None:
        return _skill(evidence, policy.significance / looks, looks)
    ways = _open_ways(evidence, policy)
    bound = ("at_most", policy.significance / (looks * ways))
    passed = [each for each in rule_lines(evidence, policy) if each.outcome == "passed"]
    if not passed:
        return unjudged(
            "significance", "guard", bound, "No way of the rule has passed, so there is no gain to explain."
        )
    says = (
        "The chance that two models of equal worth differ as much as these; of a gain in F1 that in MCC too, if it is "
        f"larger. The boundary is divided by the looks at these sessions, of which this is number {looks}"
        f"{', and by the two ways of the rule' if ways > 1 else ''}: who looks often enough finds a gain by luck."
    )
    known = [luck for each in passed if (luck := _luck(evidence, each.name)) is not None]
    return line("significance", "guard", min(known, default=None), bound, says, wants="the chance of luck")


def _skill(evidence: Evidence, needed: float, looks: int) -> Line:
    """Of a first model: whether it knows anything at all. MCC is 0 for what does not, however often it says up."""
    says = (
        "There is no champion to gain on, so this is the chance that a model which knows nothing has an MCC as large "
        f"as this one's. The boundary is divided by the looks at these sessions, of which this is number {looks}."
    )
    seen = evidence.candidate.measures.get(MCC)
    found = None if seen is None else seen.luck
    return line("significance", "guard", found, ("at_most", needed), says, wants="the chance of luck")


def _open_ways(evidence: Evidence, policy: Deployment) -> int:
    """By how many ways luck could bring it live: an MSE that the tripwire stops is none."""
    closed = policy.mse_ratio <= policy.tripwire_mse_ratio or evidence.mse_ratio is None
    return 1 if closed or evidence.gains.get(F1) is None else 2


def _luck(evidence: Evidence, way: str) -> float | None:
    """F1 rises with how often a model says up, and its mean over the classes with how even that is. A correlation does
    neither, so both must have gained; of evidence that has none F1 is enough."""
    gains = [gain_of(evidence, way)]
    if way == F1_GAIN and MCC in evidence.gains:
        gains.append(evidence.gains[MCC])
    lucks = [None if each is None else each.luck for each in gains]
    return None if None in lucks else max(each for each in lucks if each is not None)


def _where_known(name: str, found: float | None, bound: tuple[Way, float], says: str) -> Line:
    if found is None:
        return unjudged(name, "tripwire", bound, "There is no such number here.")
    return line(name, "tripwire", found, bound, says)


def _best(gain: Gain | None, end: Literal["low", "high"]) -> float | None:
    """The kind end of the interval; the value itself where there is none, which is stricter."""
    if gain is None or gain.value is None:
        return None
    edge = gain.low if end == "low" else gain.high
    return gain.value if edge is None else edge
