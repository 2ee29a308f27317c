"""Alerts are told: to whoever QP_ALERT_URL names, in time, and again until somebody says that they know (S1-15)."""

import json
from datetime import datetime

import dagster as dg

from quant_pipelines.clock import SystemClock
from quant_pipelines.monitoring import WITHIN, Alert, Incident, Look, NobodyTold, Teller, alerts, record_incident
from resources.journal import JournalResource
from resources.lake import LakeResource
from resources.monitoring import MonitoringResource

# A P1 alert has five minutes, in which a receiver that is restarted is asked some times.
SECONDS_BETWEEN_LOOKS = 30
_NAME = "tell_alerts"


@dg.sensor(
    name=_NAME,
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells alerts to whoever QP_ALERT_URL names: P1 within 5 minutes, P2 within 15, and as often again "
    "until `qp alerts acknowledge`, and once when they are over.",
)
def tell_alerts(
    context: dg.SensorEvaluationContext, lake: LakeResource, journal: JournalResource, monitoring: MonitoringResource
) -> dg.SkipReason:
    """One look; its cursor keeps when each open alert was told last."""
    book, send = journal.open(), monitoring.sender()
    if send is None:
        count = sum(each.is_open for each in alerts(book))
        return dg.SkipReason(f"{count} alerts are open, and nobody is told: QP_ALERT_URL is not set.")
    last = {name: datetime.fromisoformat(at) for name, at in json.loads(context.cursor or "{}").items()}
    look = Teller(journal=book, send=send, clock=SystemClock(), actor=f"sensor:{_NAME}").look(last)
    for each in look.late:
        record_incident(lake.open(), _incident(each, look))
    context.update_cursor(json.dumps({name: at.isoformat() for name, at in look.last.items()}))
    told = ", ".join(each.id for each in look.told) or "nobody had to be told anything"
    return dg.SkipReason(look.failure or f"Told: {told}.")


def _incident(alert: Alert, look: Look) -> Incident:
    raised = alert.raised
    minutes = int(WITHIN[raised.priority].total_seconds() // 60)
    return Incident(
        run_id=f"untold-{alert.id}",
        job=_NAME,
        step=None,
        code=NobodyTold.code,
        message=f"Nobody was told of {alert.id} within {minutes} minutes. {look.failure or ''} {raised.text}",
        # Of the day on which it was late, however long it stays so: it is one incident.
        seen_at=alert.raised_at + WITHIN[raised.priority],
    )
