"""The life of a model version: one table of transitions, in one place (X-12)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from quant_pipelines.registry.failures import IllegalTransition, UnknownState


class State(StrEnum):
    """Where a version stands."""

    CREATED = "created"
    TRAINING = "training"
    VALIDATED = "validated"
    REJECTED = "rejected"
    READY = "ready"
    CANARY = "canary"
    DEPLOYED = "deployed"
    RETIRED = "retired"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


_STEPS = {
    State.CREATED: (State.TRAINING,),
    State.TRAINING: (State.VALIDATED, State.REJECTED),
    State.VALIDATED: (State.READY,),
    State.READY: (State.CANARY,),
    State.CANARY: (State.DEPLOYED, State.ROLLED_BACK),
    State.DEPLOYED: (State.RETIRED, State.ROLLED_BACK),
    State.REJECTED: (),
    # A rollback brings the version before back: it was live, left without fault, and is live again.
    State.RETIRED: (State.DEPLOYED,),
    State.ROLLED_BACK: (),
}
# Anything may fail, once.
TRANSITIONS: dict[State, tuple[State, ...]] = {
    **{state: (*steps, State.FAILED) for state, steps in _STEPS.items()},
    State.FAILED: (),
}
# Nobody has decided about these yet: they are candidates.
OPEN = frozenset({State.CREATED, State.TRAINING, State.VALIDATED, State.READY, State.CANARY})
# These have served all there was to serve.
SERVED = frozenset({State.DEPLOYED, State.RETIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One step that was taken: where to, when, by whom and why."""

    state: State
    at: datetime
    actor: str
    reason: str = ""


def state_named(name: str) -> State:
    try:
        return State(name)
    except ValueError as error:
        raise UnknownState(f"{name!r} is no state of a model. There are {', '.join(State)}.") from error


def require_legal(found: State, wanted: State) -> None:
    """Refuse a step that the table does not have."""
    if wanted not in TRANSITIONS[found]:
        raise IllegalTransition(found, wanted, TRANSITIONS[found])
