"""The answers, without HTTP: folded from the journal as `qp live` does, and from MLflow; never kept beside them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quant_pipelines.api.failures import BadRequest, UnknownStrategy
from quant_pipelines.api.schemas import (
    RolloutState,
    RolloutStateResponse,
    SchedulerAuditLogRequest,
    ServingVersion,
    StoredAudit,
)
from quant_pipelines.calendars import session_key
from quant_pipelines.clock import Clock
from quant_pipelines.deployment import EVERYBODY, Live, live_now, require_intact, rolled_models
from quant_pipelines.journal import Journal
from quant_pipelines.markets import Market
from quant_pipelines.registry import Tracker
from quant_pipelines.strategies import Strategy
from quant_pipelines.training import ModelInfo, model_info
from quant_pipelines.triggers import put_sent_on_record


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Of one installation: its journal, its trainings, its markets and its strategies.

    `tracker` is opened when it is asked for: what the journal knows is answered while MLflow is away.
    """

    journal: Journal
    tracker: Callable[[], Tracker]
    markets: Mapping[str, Market]
    strategies: Mapping[str, Strategy]
    clock: Clock

    def rollout_state(self, strategy: str | None) -> RolloutStateResponse:
        """What is live now, once the journal was found to be what was written (S1-05)."""
        require_intact(self.journal)
        chosen = [each for each in self._known() if strategy in (None, each, each.partition(".")[2])]
        if not chosen:
            raise UnknownStrategy(f"There is no strategy {strategy!r}. There are: {', '.join(self._known())}.")
        return RolloutStateResponse(states=tuple(state_of(live_now(self.journal, each)) for each in chosen))

    def model_info(self, model_id: str) -> ModelInfo:
        """How far a training is (S2-28)."""
        return model_info(self.tracker(), model_id)

    def store_audit(self, request: SchedulerAuditLogRequest) -> StoredAudit:
        """Put the decision of another scheduler on record, with who has sent it (S1-06)."""
        self._require_known(request)
        recorded = put_sent_on_record(self.journal, request.audit, sender=request.sent_by)
        row = recorded.row
        return StoredAudit(row=row.sequence, recorded_at=row.recorded_at, actor=row.actor)

    def _configured(self) -> list[str]:
        return sorted(f"{each.market}.{each.name}" for each in self.strategies.values())

    def _known(self) -> list[str]:
        """What strategies.yaml has, and what has ever been rolled out."""
        return sorted({*self._configured(), *rolled_models(self.journal)})

    def _require_known(self, request: SchedulerAuditLogRequest) -> None:
        model, session = f"{request.market}.{request.strategy}", request.window.session
        if model not in self._configured():
            raise UnknownStrategy(f"There is no strategy {model!r}. There are: {', '.join(self._configured())}.")
        calendar = self.markets[request.market].sessions_calendar
        closed = calendar.last_closed(self.clock.now())
        if session.tzinfo is not None or not calendar.is_session(session) or session > closed:
            raise BadRequest(
                f"window.session is {session.isoformat()}, which is no session of {request.market} that has closed. "
                f"The last one is {session_key(closed)}; sessions have no time zone."
            )


def state_of(live: Live) -> RolloutState:
    """What is live of a model, in fractions."""
    market, _, strategy = live.model.partition(".")
    return RolloutState(
        model=live.model,
        market=market,
        strategy=strategy,
        stage=_fraction(live.stage),
        moves=live.number,
        session=None if live.session is None else session_key(live.session),
        live=tuple(
            ServingVersion(
                role=each.role,
                version=f"{live.model}/{each.placed.version.number}",
                version_id=each.placed.version.id,
                share=_fraction(each.percent),
                since=session_key(each.placed.since),
                decision=each.placed.decision,
                row=each.placed.row,
            )
            for each in live.serving
        ),
    )


def _fraction(percent: int) -> float:
    return percent / EVERYBODY
