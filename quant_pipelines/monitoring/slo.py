"""Is serving fast enough? Response times, judged at their 95th percentile against an objective (S1-17, S1-44)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from quant_pipelines.errors import DataRejected


class BadResponseTimes(DataRejected):
    """Response times that nothing can be concluded from."""

    code = "QP238"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """19 of 20 answers within so many milliseconds; asked only where there are enough of them."""

    p95_ms: float
    least_observations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SloReport:
    """Percentiles are response times that were really observed, by nearest rank. Too few say nothing (X-42)."""

    status: Literal["met", "violated", "insufficient_observation"]
    observations: int
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


def slo_report(response_ms: Sequence[float], objective: Objective) -> SloReport:
    """Judge the response times. Exactly the objective is enough."""
    times = np.asarray(response_ms, np.float64)
    if not np.all(np.isfinite(times) & (times >= 0)):
        raise BadResponseTimes(
            "A response time is negative or no number. They are measured when predictions are made; find out who "
            "wrote this one, and materialise the session again."
        )
    if times.size == 0 or times.size < objective.least_observations:
        return SloReport(status="insufficient_observation", observations=times.size)
    p50, p95, p99 = np.percentile(times, [50, 95, 99], method="inverted_cdf").tolist()
    return SloReport(
        status="met" if p95 <= objective.p95_ms else "violated",
        observations=times.size,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
    )
