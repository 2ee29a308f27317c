"""When a strategy trains again, and when what it trained goes live. The numbers are the user's unless `proposed`."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from quant_pipelines.documents import Entry

_LEAST_VERSIONS = 2
_EVERYBODY = 100


class Retrain(Entry, frozen=True):
    """What each trigger starts, and what makes a decay (S3-49..S3-57, X-22..X-24).

    `decay_cooldown_sessions` is proposed.
    """

    weekly: Literal["off", "incremental", "full"] = "incremental"
    monthly: Literal["off", "full"] = "full"
    quarterly: Literal["off", "full"] = "full"
    performance_decay: Literal["off", "full"] = "full"
    weekly_months: PositiveInt = 6
    decay_sessions: PositiveInt = 20
    decay_factor: Annotated[float, Field(gt=1)] = 1.5
    decay_least_values: PositiveInt = 60
    decay_cooldown_sessions: PositiveInt = 5
    longest_seconds: PositiveInt = 7200


class Deployment(Entry, frozen=True):
    """The rule for a candidate, the guards on top of it, and the rollout (X-17, X-20, X-21, X-25, X-47).

    `ladder` is the share of the universe in percent, step by step; without it the model kind's own.
    The steps' and windows' lengths are proposed.
    """

    policy: Literal["guarded", "as_specified"] = "guarded"
    post_training_validation: bool = True
    f1_gain: Annotated[float, Field(ge=0, le=1)] = 0.05
    mse_ratio: Annotated[float, Field(gt=0, le=1)] = 0.9
    tripwire_ic: Annotated[float, Field(gt=0, le=1)] = 0.15
    gate_incremental: bool = True
    ladder: tuple[PositiveInt, ...] | None = None
    step_after_sessions: PositiveInt = 5
    window_sessions: PositiveInt = 5
    rollback_after_failed_windows: PositiveInt = 2
    max_versions: Annotated[int, Field(ge=_LEAST_VERSIONS)] = 3

    @model_validator(mode="after")
    def _climbs(self) -> "Deployment":
        if self.ladder is None:
            return self
        if list(self.ladder) != sorted(set(self.ladder)) or self.ladder[-1:] != (_EVERYBODY,):
            raise ValueError(f"the ladder {list(self.ladder)} does not rise to 100; write e.g. [10, 30, 100]")
        return self
