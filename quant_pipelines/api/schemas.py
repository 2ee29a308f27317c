"""What the API takes and gives. Shares are fractions in [0, 1] (X-13); unknown fields are refused."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from quant_pipelines.documents import Entry
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.training import ModelInfo, Stage
from quant_pipelines.triggers import Trigger
from quant_pipelines.triggers.audit import Audit, Decision, SeenWindow
from quant_pipelines.triggers.thresholds import Thresholds

Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class RolloutStateQuery(Entry, frozen=True):
    """Which strategy: by its name, or as market.strategy; all of them without one."""

    strategy: str | None = None


class ServingVersion(Entry, frozen=True):
    """A version that is live: the share of the universe that it serves, since the close of which session, by which
    decision and which row of the journal."""

    role: Literal["champion", "canary", "shadow"]
    version: str
    version_id: str
    share: Fraction
    since: str
    decision: str | None
    row: int


class RolloutState(Entry, frozen=True):
    """One strategy after so many moves, the last at the close of `session`. `stage` is how far the version has come
    that is furthest in its rollout, or 1 where the champion serves alone; 0 where nothing is live."""

    model: str
    market: str
    strategy: str
    stage: Fraction
    moves: int
    session: str | None
    live: tuple[ServingVersion, ...]


class RolloutStateResponse(Entry, frozen=True):
    """The state of each strategy that was asked for (S1-04)."""

    states: tuple[RolloutState, ...]


class SchedulerAuditLogRequest(Entry, frozen=True):
    """One decision of a scheduler, with what it saw and which numbers counted, as our own triggers put it on record
    (S1-04). It may not contradict itself."""

    code: Literal["scheduler_audit_log"] = "scheduler_audit_log"
    market: Name
    strategy: Name
    window: SeenWindow
    thresholds: Thresholds
    decision: Decision
    sent_by: Name

    @property
    def audit(self) -> Audit:
        return Audit(
            market=self.market,
            strategy=self.strategy,
            window=self.window,
            thresholds=self.thresholds,
            decision=self.decision,
        )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        decision = self.decision
        true = tuple(each for each in Trigger if getattr(decision, each.value))
        if decision.trigger_reasons != true:
            raise ValueError(f"decision.trigger_reasons must name what is true: {', '.join(true) or 'nothing'}")
        if decision.trigger is not None and decision.trigger not in true:
            raise ValueError(f"decision.trigger is {decision.trigger}, which is not true")
        if (decision.trigger is None) != (decision.mode is None):
            raise ValueError("decision.trigger and decision.mode go together: give both or neither")
        if decision.performance_decay and not self._decayed:
            raise ValueError(
                "decision.performance_decay is true, but the recent average is not beyond thresholds.decay_factor "
                "times the historical one, or decision.status is not ok"
            )
        return self

    @property
    def _decayed(self) -> bool:
        recent, before = self.decision.performance_recent_avg, self.decision.performance_historical_avg
        if self.decision.status != "ok" or recent is None or before is None:
            return False
        return recent > before * self.thresholds.decay_factor


class StoredAudit(Entry, frozen=True):
    """The journal's row that keeps an audit."""

    row: int
    recorded_at: datetime
    actor: str


class Refusal(Entry, frozen=True):
    """Why there is no answer: the error's code, and what was found, what was expected and what to do."""

    code: str
    error: str


class ProgressRequest(Entry, frozen=True):
    """Watch a training, or watch it no more: one of both."""

    subscribe: Name | None = None
    unsubscribe: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.subscribe is None) == (self.unsubscribe is None):
            raise ValueError("give one of subscribe and unsubscribe")
        return self


class ProgressEvent(Entry, frozen=True):
    """How far a training is (S2-29, S2-47), `progress` in percent. Its metrics always have `loss` and `accuracy`."""

    event: Literal["training_progress"] = "training_progress"
    model_id: str
    progress: float
    stage: Stage
    epoch: int
    metrics: dict[str, float | None]
    message: str
    remaining_seconds: float | None
    error_message: str | None

    @classmethod
    def of(cls, info: ModelInfo) -> Self:
        return cls(
            model_id=info.model_id,
            progress=info.training_progress,
            stage=info.training_stage,
            epoch=info.epoch,
            metrics=info.metrics,
            message=info.message,
            remaining_seconds=info.remaining_seconds,
            error_message=info.error_message,
        )


class ProgressRefusal(Refusal, frozen=True):
    """Why nothing can be said: of a training, or of what was sent."""

    event: Literal["refused"] = "refused"
    model_id: str | None

    @classmethod
    def of(cls, error: QuantPipelinesError, model_id: str | None) -> Self:
        return cls(code=error.code, error=str(error), model_id=model_id)


class Unsubscribed(Entry, frozen=True):
    """Nothing more of this training comes over this connection."""

    event: Literal["unsubscribed"] = "unsubscribed"
    model_id: str


Told = ProgressEvent | ProgressRefusal | Unsubscribed
