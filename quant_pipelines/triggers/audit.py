"""Every evaluation on record: what was looked at, which numbers counted, what was decided (S1-01, S1-07, S1-42)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from quant_pipelines.calendars import Calendar, Session, session_key
from quant_pipelines.digest import digest_json
from quant_pipelines.documents import Entry
from quant_pipelines.journal import Journal, KeyTaken, Kind, Row
from quant_pipelines.strategies import Retrain
from quant_pipelines.triggers.check import Check, Status
from quant_pipelines.triggers.choosing import Mode, Trigger, chosen, what_starts
from quant_pipelines.triggers.thresholds import Thresholds

RISK_EVENT = "risk_event"
SCHEDULER_AUDIT_LOG = "scheduler_audit_log"


class SeenWindow(Entry, frozen=True):
    """What was looked at: the session, and the sessions whose errors were compared; `values` have one."""

    session: Session
    values: int
    recent_first: Session | None
    recent_last: Session | None
    historical_first: Session | None
    historical_last: Session | None


class Decision(Entry, frozen=True):
    """What was true, and what it starts: one training, or none and then `reason` says why."""

    weekly: bool
    monthly: bool
    quarterly: bool
    performance_decay: bool
    performance_recent_avg: float | None
    performance_historical_avg: float | None
    status: Status
    trigger: Trigger | None
    trigger_reasons: tuple[Trigger, ...]
    mode: Mode | None
    reason: str


class Audit(Entry, frozen=True):
    """One strategy after one session."""

    code: Literal["scheduler_audit_log"] = SCHEDULER_AUDIT_LOG
    market: str
    strategy: str
    window: SeenWindow
    thresholds: Thresholds
    decision: Decision

    @property
    def run_key(self) -> str:
        """The name of the evaluation, and of the run that it starts: a market, a strategy, a session."""
        return run_key(self.market, self.strategy, self.window.session)


AUDIT = Kind(RISK_EVENT, Audit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An audit and the row that keeps it."""

    row: Row
    audit: Audit


def run_key(market: str, strategy: str, session: Session) -> str:
    return f"{SCHEDULER_AUDIT_LOG}:{market}:{strategy}:{session_key(session)}"


def subject_of(market: str, strategy: str) -> str:
    """What the rows are about: the name of the strategy's model."""
    return f"{market}.{strategy}"


def audit_of(market: str, strategy: str, check: Check, retrain: Retrain, *, obstacle: str | None = None) -> Audit:
    """What the check leads to; with an obstacle it leads to nothing."""
    trigger = None if obstacle else chosen(check.true, retrain)
    starts = None if trigger is None else what_starts(trigger, retrain)
    return Audit(
        market=market,
        strategy=strategy,
        window=_window(check),
        thresholds=Thresholds.of(retrain),
        decision=Decision(
            weekly=check.weekly,
            monthly=check.monthly,
            quarterly=check.quarterly,
            performance_decay=check.performance_decay,
            performance_recent_avg=check.performance_recent_avg,
            performance_historical_avg=check.performance_historical_avg,
            status=check.status,
            trigger=trigger,
            trigger_reasons=check.true,
            mode=None if starts is None else starts.mode,
            reason=obstacle or _reason(check, trigger),
        ),
    )


def put_on_record(journal: Journal, audit: Audit, *, actor: str) -> Recorded:
    """The audit's row. Evaluated again, the first decision stands, whatever has become known since."""
    before = journal.with_key(audit.run_key)
    if before is not None:
        return Recorded(row=before, audit=AUDIT.of(before))
    entry = AUDIT.entry(audit, subject=subject_of(audit.market, audit.strategy), actor=actor)
    try:
        row = journal.append_once(audit.run_key, entry)
    except KeyTaken:
        row = journal.with_key(audit.run_key)
        if row is None:
            raise
    return Recorded(row=row, audit=AUDIT.of(row))


def put_sent_on_record(journal: Journal, audit: Audit, *, sender: str) -> Recorded:
    """The audit that another scheduler has sent; sent again, the same row. It is no evaluation of ours: it starts
    nothing, and is never taken for the first decision."""
    key = f"sent:{digest_json([sender, audit.model_dump(mode='json')])}"
    entry = AUDIT.entry(audit, subject=subject_of(audit.market, audit.strategy), actor=f"api:{sender}")
    row = journal.append_once(key, entry)
    return Recorded(row=row, audit=AUDIT.of(row))


def scheduler_audits(
    journal: Journal, *, market: str | None = None, strategy: str | None = None, last: int, ours: bool = False
) -> Sequence[Recorded]:
    """The newest evaluations, the newest last; of one market or strategy where it is named. `ours` are not those that
    other schedulers have sent."""
    subject = None if market is None or strategy is None else subject_of(market, strategy)
    asked = last
    while True:
        rows = journal.newest(asked, kind=RISK_EVENT, subject=subject)
        audits = [
            Recorded(row=row, audit=AUDIT.of(row)) for row in rows if row.payload.get("code") == SCHEDULER_AUDIT_LOG
        ]
        found = [
            each for each in audits if market in (None, each.audit.market) and strategy in (None, each.audit.strategy)
        ]
        if ours:
            found = [each for each in found if each.row.key == each.audit.run_key]
        # Other risk events stand among them, so that the newest rows may hold too few.
        if len(found) >= last or len(rows) < asked:
            return found[-last:]
        asked *= 2


def decay_started(
    journal: Journal, calendar: Calendar, market: str, strategy: str, *, closed: Session, within: int
) -> Session | None:
    """The last session before this one, of so many, after which a training began with a decay among its reasons."""
    for session in reversed(_before(calendar, closed, within)):
        row = journal.with_key(run_key(market, strategy, session))
        if row is not None:
            decision = AUDIT.of(row).decision
            if decision.trigger is not None and Trigger.PERFORMANCE_DECAY in decision.trigger_reasons:
                return session
    return None


def _before(calendar: Calendar, closed: Session, count: int) -> list[Session]:
    first = calendar.offset(closed, -count)
    return calendar.sessions(first, closed)[:-1]


def _window(check: Check) -> SeenWindow:
    recent, historical = check.seen.recent, check.seen.historical
    return SeenWindow(
        session=check.session,
        values=check.seen.values,
        recent_first=recent.first if recent else None,
        recent_last=recent.last if recent else None,
        historical_first=historical.first if historical else None,
        historical_last=historical.last if historical else None,
    )


def _reason(check: Check, trigger: Trigger | None) -> str:
    if trigger is not None:
        return f"{trigger} starts the run"
    if check.true:
        return f"the strategy's policy switches off {', '.join(check.true)}"
    return "no trigger is true"
