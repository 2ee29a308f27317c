"""Incidents: every failed run, once, with what to do about it.

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
    """One failed run. The run id is its correlation id (X-28)."""

    run_id: str
    job: str
    step: str | None
    code: str | None
    message: str
    seen_at: datetime


def record_incident(lake: Lake, incident: Incident) -> None:
    """Add the incident to its day; recording it twice leaves one."""
    day = midnight(incident.seen_at.date())
    window = Window(day, day + _DAY)
    table = lake.table(OPERATIONS, INCIDENTS)
    known = [row for row in table.read(window).to_pylist() if row["run_id"] != incident.run_id]
    rows = pa.Table.from_pylist([*known, {"session": day, **asdict(incident)}], schema=INCIDENTS.arrow)
    table.replace(rows, window=window, writer=_REPORTER)


def incidents(lake: Lake) -> pa.Table:
    """Every incident, oldest first."""
    return lake.table(OPERATIONS, INCIDENTS).read()
