"""How fast versions have to answer, as a resource."""

import dagster as dg

from quant_pipelines.monitoring import Objective


class SloResource(dg.ConfigurableResource):
    """The objective, and over how many of the last scorings it is asked."""

    p95_ms: float
    least_observations: int
    sessions: int

    def objective(self) -> Objective:
        return Objective(p95_ms=self.p95_ms, least_observations=self.least_observations)
