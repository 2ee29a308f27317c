"""Is it time to train again? Looks and answers; starts nothing (S3-54)."""

from dataclasses import dataclass
from typing import Literal

from quant_pipelines.calendars import Calendar, Session
from quant_pipelines.monitoring import Decay, DecayLimits, SessionErrors, decay
from quant_pipelines.strategies import Retrain
from quant_pipelines.triggers.choosing import Trigger
from quant_pipelines.triggers.ends import ends_month, ends_quarter, ends_week

# `insufficient_observation` is no failure and no evidence; `cooldown` follows a training for a decay.
Status = Literal["ok", "insufficient_observation", "cooldown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What is true after a session has closed. Without enough errors there are no means; `seen` says of which."""

    session: Session
    weekly: bool
    monthly: bool
    quarterly: bool
    performance_decay: bool
    performance_recent_avg: float | None
    performance_historical_avg: float | None
    status: Status
    seen: Decay

    @property
    def true(self) -> tuple[Trigger, ...]:
        """The triggers that are true, the strongest first."""
        return tuple(each for each in Trigger if getattr(self, each.value))


def check_triggers(
    calendar: Calendar,
    closed: Session,
    retrain: Retrain,
    errors: SessionErrors,
    *,
    decay_started: Session | None = None,
) -> Check:
    """The four triggers for the session that has just closed.

    Errors that were not known at that close are not looked at. `decay_started` is the session after which a training
    for a decay was last started. Raises CalendarEnds where the next session is not published yet, since nobody knows
    then what this one ends.
    """
    seen = _seen(calendar, closed, retrain, errors)
    cooling = _cooling(calendar, closed, retrain, decay_started)
    return Check(
        session=closed,
        weekly=ends_week(calendar, closed),
        monthly=ends_month(calendar, closed),
        quarterly=ends_quarter(calendar, closed),
        performance_decay=seen.decayed and not cooling,
        performance_recent_avg=seen.recent_avg,
        performance_historical_avg=seen.historical_avg,
        status="cooldown" if seen.decayed and cooling else seen.status,
        seen=seen,
    )


def _seen(calendar: Calendar, closed: Session, retrain: Retrain, errors: SessionErrors) -> Decay:
    known = errors.known_at(closed)
    limits = DecayLimits(
        recent_sessions=retrain.decay_sessions, factor=retrain.decay_factor, least_values=retrain.decay_least_values
    )
    newest = known.resolves.max().item() if known.sessions else None
    if newest is None or _sessions_since(calendar, newest, closed) >= retrain.decay_sessions:
        # Where nobody has predicted for that long, the newest errors are no recent ones.
        return Decay(status="insufficient_observation", values=known.sessions)
    return decay(known, limits)


def _cooling(calendar: Calendar, closed: Session, retrain: Retrain, decay_started: Session | None) -> bool:
    if decay_started is None or decay_started >= closed:
        return False
    return _sessions_since(calendar, decay_started, closed) < retrain.decay_cooldown_sessions


def _sessions_since(calendar: Calendar, earlier: Session, closed: Session) -> int:
    return len(calendar.sessions(earlier, closed)) - 1
