"""Alerts: a metric beyond its limit, on record until it is within again (S2-88).

One for each version and metric at a time. Everything about one stands in the journal: that it was raised, that
somebody was told, who said that they know, and that it is over.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from quant_pipelines.calendars import Session, session_key
from quant_pipelines.documents import Entry
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.journal import Journal, Kind, Row
from quant_pipelines.monitoring.readings import Limit, Priority, Reading


class UnknownAlert(OperatorActionRequired):
    """An alert that was never raised, or is over."""

    code = "QP119"


class Raised(Entry, frozen=True):
    """What was read, and how far it may go."""

    alert: str
    model: str
    version: str
    metric: str
    priority: Priority
    session: Session
    value: float
    most: float
    text: str


class Told(Entry, frozen=True):
    """It was delivered: that it is there, or that it is over."""

    alert: str
    over: bool


class Acknowledged(Entry, frozen=True):
    """Somebody knows; nobody else is told again."""

    alert: str
    person: str
    why: str


class Over(Entry, frozen=True):
    """The metric is within its limit again, or the version does not serve any more and has no value."""

    alert: str
    session: Session
    value: float | None


RAISED, TOLD = Kind("alert_raised", Raised), Kind("alert_told", Told)
ACKNOWLEDGED, OVER = Kind("alert_acknowledged", Acknowledged), Kind("alert_over", Over)
_KINDS: Sequence[Kind[Any]] = (RAISED, TOLD, ACKNOWLEDGED, OVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert as the journal has it."""

    raised: Raised
    raised_at: datetime
    told_at: datetime | None = None
    acknowledged: Acknowledged | None = None
    over: Over | None = None
    over_at: datetime | None = None
    over_told: bool = False

    @property
    def id(self) -> str:
        return self.raised.alert

    @property
    def is_open(self) -> bool:
        return self.over is None

    @property
    def last_session(self) -> Session:
        """The last session that had a word in it."""
        return self.raised.session if self.over is None else self.over.session


def alerts(journal: Journal) -> list[Alert]:
    """Every alert, the oldest first."""
    rows = sorted((row for kind in _KINDS for row in journal.rows(kind=kind.name)), key=lambda row: row.sequence)
    found: dict[str, Alert] = {}
    for row in rows:
        alert = str(row.payload["alert"])
        found[alert] = _begun(row) if row.kind == RAISED.name else _after(found[alert], row)
    return list(found.values())


def judge(
    journal: Journal, market: str, session: Session, readings: Sequence[Reading], limits: Iterable[Limit], *, actor: str
) -> None:
    """Raise an alert for what is beyond its limit, and end those of what is within again, or serves no more.

    A session that is not newer than the last one that had a word says nothing, nor does a reading without a value.
    """
    by_metric = {each.metric.name: each for each in limits}
    last = {(each.raised.version, each.raised.metric): each for each in alerts(journal)}
    serving = {each.version for each in readings}
    for alert in last.values():
        gone = alert.raised.model.startswith(f"{market}.") and alert.raised.version not in serving
        if gone and alert.is_open and session > alert.raised.session:
            _once(journal, OVER, Over(alert=alert.id, session=session, value=None), alert, actor)
    for reading in readings:
        limit, before = by_metric[reading.metric], last.get((reading.version, reading.metric))
        if reading.value is None or (before is not None and reading.session <= before.last_session):
            continue
        if before is None or not before.is_open:
            if reading.value > limit.most:
                _raise(journal, _raised(f"{market}.{reading.strategy}", reading, reading.value, limit), actor)
        elif reading.value <= limit.most:
            over = Over(alert=before.id, session=reading.session, value=reading.value)
            _once(journal, OVER, over, before, actor)


def tell(journal: Journal, alert: Alert, *, actor: str) -> None:
    """Put on record that it was delivered, as it is now."""
    _once(journal, TOLD, Told(alert=alert.id, over=not alert.is_open), alert, actor)


def acknowledge(journal: Journal, alert_id: str, *, person: str, why: str) -> Row:
    """Somebody knows of an open alert. The first who says so is on record; saying it again changes nothing."""
    there = {each.id: each for each in alerts(journal) if each.is_open}
    found = there.get(alert_id)
    if found is None:
        raise UnknownAlert(f"There is no open alert {alert_id!r}. Open are: {', '.join(there) or 'none'}.")
    said = found.acknowledged or Acknowledged(alert=alert_id, person=person, why=why)
    return _once(journal, ACKNOWLEDGED, said, found, said.person)


def _begun(row: Row) -> Alert:
    return Alert(raised=RAISED.of(row), raised_at=row.recorded_at)


def _after(alert: Alert, row: Row) -> Alert:
    if row.kind == ACKNOWLEDGED.name:
        return replace(alert, acknowledged=ACKNOWLEDGED.of(row))
    if row.kind == OVER.name:
        return replace(alert, over=OVER.of(row), over_at=row.recorded_at)
    if TOLD.of(row).over:
        return replace(alert, over_told=True, told_at=alert.told_at or row.recorded_at)
    return replace(alert, told_at=row.recorded_at)


def _raised(model: str, reading: Reading, value: float, limit: Limit) -> Raised:
    metric, session = limit.metric, session_key(reading.session)
    return Raised(
        alert=f"{reading.version}:{metric.name}:{session}",
        model=model,
        version=reading.version,
        metric=metric.name,
        priority=metric.priority,
        session=reading.session,
        value=value,
        most=limit.most,
        text=f"{metric.name} of {reading.version} is {value:.4g} at {session}, at most {limit.most:.4g} is expected. "
        f"{reading.about} {metric.advice}",
    )


def _raise(journal: Journal, raised: Raised, actor: str) -> None:
    entry = RAISED.entry(raised, subject=raised.model, actor=actor)
    journal.append_once(f"{RAISED.name}:{raised.alert}", entry)


def _once(journal: Journal, kind: Kind[Any], value: Any, alert: Alert, actor: str) -> Row:
    suffix = ":over" if isinstance(value, Told) and value.over else ""
    key = f"{kind.name}:{alert.id}{suffix}"
    return journal.append_once(key, kind.entry(value, subject=alert.raised.model, actor=actor))
