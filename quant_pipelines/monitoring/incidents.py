"""Incidents: every failed run and every failed look at a source, once, with what to do about it.

They belong to the installation, not to one market: a run may hold assets of several.
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import pyarrow as pa

from quant_pipelines.calendars.calendar import midnight
from quant_pipelines.lake import Lake, Window, Writer
from quant_pipelines.lake.tables import INCIDENTS
from quant_pipelines.markets.market import OPERATIONS

_REPORTER = Writer(who="incidents", run_id=None, code_version=None)
_DAY = timedelta(days=1) - timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One failure. The run id is its correlation id (X-28); what failed before there was a run names itself there."""

    run_id: str
    job: str
    step: str | None
    code: str | None
    message: str
    seen_at: datetime


def record_incident(lake: Lake, incident: Incident) -> None:
    """Add the incident to its day; recording it again changes nothing."""
    day = midnight(incident.seen_at.date())
    window = Window(day, day + _DAY)
    table = lake.table(OPERATIONS, INCIDENTS)
    known = table.read(window).to_pylist()
    if incident.run_id in {row["run_id"] for row in known}:
        return
    rows = pa.Table.from_pylist([*known, {"session": day, **asdict(incident)}], schema=INCIDENTS.arrow)
    table.replace(rows, window=window, writer=_REPORTER)


def incidents(lake: Lake) -> pa.Table:
    """Every incident, oldest first."""
    return lake.table(OPERATIONS, INCIDENTS).read()
