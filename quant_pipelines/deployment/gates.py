"""Hard gates: what a candidate must reach by itself, whoever it is compared with (S1-21, X-47)."""

from collections.abc import Iterator

from quant_pipelines.deployment.lines import Line, Way, line, unjudged
from quant_pipelines.evaluation.evidence import Evidence
from quant_pipelines.strategies import Deployment

SHARPE, MAX_DRAWDOWN, REJECT_RATE = "sharpe", "max_drawdown", "reject_rate"
GATED = frozenset({SHARPE, MAX_DRAWDOWN, REJECT_RATE})


def gate_lines(evidence: Evidence, policy: Deployment) -> Iterator[Line]:
    """One line for each gate that is on. What was not measured at all is not judged; what came out as null fails."""
    gates: tuple[tuple[str, Way, float | None, str], ...] = (
        (SHARPE, "at_least", policy.least_sharpe, "The yearly Sharpe ratio of what its signals would have earned."),
        (MAX_DRAWDOWN, "at_least", policy.deepest_drawdown, "The deepest fall from a peak, as a share of it."),
        (REJECT_RATE, "at_most", policy.most_rejects, "The share of its orders that would have been refused."),
    )
    for name, way, needed, says in gates:
        if needed is None:
            continue
        estimate = evidence.candidate.measures.get(name)
        if estimate is None:
            yield unjudged(name, "gate", (way, needed), f"{says} It was not measured.")
        else:
            yield line(name, "gate", estimate.value, (way, needed), says)
