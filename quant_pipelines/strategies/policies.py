"""When a strategy trains again, and when what it trained goes live. The numbers are the user's unless `proposed`."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt, model_validator

from quant_pipelines.documents import Entry

_LEAST_VERSIONS = 2
_LEAST_WINDOW = 2
_EVERYBODY = 100


class Retrain(Entry, frozen=True):
    """What each trigger starts, and what makes a decay (S3-49..S3-57, X-22..X-24).

    A full training tries `tune_trials` settings first, for half of `longest_seconds` at most. `tune_trials` and
    `decay_cooldown_sessions` are proposed.
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
    tune_trials: PositiveInt = 20
    longest_seconds: PositiveInt = 7200


class Deployment(Entry, frozen=True):
    """The rule for a candidate, the guards and gates on top of it, and the rollout (X-17, X-20, X-21, X-25, X-47).

    Switches. `policy: as_specified` is the rule alone; guards and gates are then off. Without
    `post_training_validation`, and for an incremental training without `gate_incremental`, a candidate goes live
    unvalidated. Without `gate_first` a first model need not show that it knows anything.

    The rule: the F1 gains `f1_gain`, or the MSE is `mse_ratio` of the champion's.

    Guards: a gain must be luck with a chance of `significance` at most, divided by the looks at the holdout and by the
    ways of the rule that are open; one in F1 must be one in MCC too. A first model's gain is its MCC. An MSE ratio of
    `tripwire_mse_ratio` or less, or an IC above `tripwire_ic`, is taken for a leak.

    Gates on the candidate itself: at least `least_sharpe`, a `deepest_drawdown` that is not passed, at most
    `most_rejects` of the orders refused. Null switches a gate off.

    The rollout: `shadow_sessions` beside the champion without serving (0: none), then the `ladder`, the share of the
    universe in percent, step by step; without it the model kind's own. A step comes after `step_after_sessions`
    without a failed window. A window of `window_sessions` has failed where the candidate was worse by `window_errors`
    standard errors or more; `rollback_after_failed_windows` in a row end the rollout.

    `approvals` people who hold the `approver_role` must agree to every step to `approvals_from_stage` percent or more.
    All but `policy`, `f1_gain` and `mse_ratio` is proposed.
    """

    policy: Literal["guarded", "as_specified"] = "guarded"
    post_training_validation: bool = True
    gate_incremental: bool = True
    gate_first: bool = True
    f1_gain: Annotated[float, Field(ge=0, le=1)] = 0.05
    mse_ratio: Annotated[float, Field(gt=0, le=1)] = 0.9
    significance: Annotated[float, Field(gt=0, lt=1)] = 0.05
    tripwire_mse_ratio: Annotated[float, Field(ge=0, le=1)] = 0.9
    tripwire_ic: Annotated[float, Field(gt=0, le=1)] = 0.15
    least_sharpe: FiniteFloat | None = 0.5
    deepest_drawdown: Annotated[float, Field(ge=-1, le=0)] | None = -0.25
    most_rejects: Annotated[float, Field(ge=0, le=1)] | None = 0.05
    ladder: tuple[PositiveInt, ...] | None = None
    shadow_sessions: NonNegativeInt = 5
    step_after_sessions: PositiveInt = 5
    window_sessions: Annotated[int, Field(ge=_LEAST_WINDOW)] = 5
    window_errors: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    rollback_after_failed_windows: PositiveInt = 2
    approvals: Literal[0, 1, 2] = 0
    approver_role: Annotated[str, Field(min_length=1)] = "approver"
    approvals_from_stage: Annotated[int, Field(ge=0, le=_EVERYBODY)] = 1
    max_versions: Annotated[int, Field(ge=_LEAST_VERSIONS)] = 3

    @model_validator(mode="after")
    def _climbs(self) -> "Deployment":
        if self.ladder is None:
            return self
        if list(self.ladder) != sorted(set(self.ladder)) or self.ladder[-1:] != (_EVERYBODY,):
            raise ValueError(f"the ladder {list(self.ladder)} does not rise to 100; write e.g. [10, 30, 100]")
        return self
