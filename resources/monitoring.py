"""How far what is watched may go, and who is told, as a resource."""

from pathlib import Path

import dagster as dg

from quant_pipelines.monitoring import ACCURACY_DROP, DRIFT_SCORE, LATENCY_MS, Limit, Send, sender_to
from quant_pipelines.settings import Settings


class MonitoringResource(dg.ConfigurableResource):
    """The limits, over how many sessions is read, and below which home everything lies."""

    accuracy_drop: float
    latency_ms: float
    drift_score: float
    sessions: int
    home: str

    def limits(self) -> tuple[Limit, ...]:
        most = {ACCURACY_DROP: self.accuracy_drop, LATENCY_MS: self.latency_ms, DRIFT_SCORE: self.drift_score}
        return tuple(Limit(metric=metric, most=each) for metric, each in most.items())

    def sender(self) -> Send | None:
        """How alerts are delivered; none where nobody is to be told. The URL may be a secret: it is no field here."""
        url = Settings(home=Path(self.home)).alert_url
        return None if url is None else sender_to(url.get_secret_value())
