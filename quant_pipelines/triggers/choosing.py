"""What makes a strategy train again, which of several counts, and what it starts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from quant_pipelines.strategies import Retrain

Mode = Literal["incremental", "full"]


class Trigger(StrEnum):
    """Four reasons to train again, the strongest first (S3-53)."""

    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    PERFORMANCE_DECAY = "performance_decay"
    WEEKLY = "weekly"


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What a trigger starts. Without `window_months` the training sees the strategy's own window.

    `priority` is its place in Dagster's queue; a run that a person launches has 0.
    """

    mode: Mode
    window_months: int | None
    do_cv_tune: bool
    do_shap: bool
    do_plot: bool
    do_post_training_validation: bool
    use_improved_training: bool
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One way in which a trigger starts a training; `with_window` takes the policy's months."""

    with_window: bool
    everything: bool
    priority: int

    def started(self, mode: Mode, retrain: Retrain) -> Started:
        return Started(
            mode=mode,
            window_months=retrain.weekly_months if self.with_window else None,
            do_cv_tune=self.everything,
            do_shap=self.everything,
            do_plot=True,
            do_post_training_validation=self.everything,
            # Cross-validation runs only where this is false.
            use_improved_training=not self.everything,
            priority=self.priority,
        )


_HIGH, _MEDIUM, _LOWEST = 20, 10, -10
# S3-49..S3-52, S3-56, S3-57. A weekly `full` learns from nothing, but from as few months as the incremental one.
ROWS: Mapping[tuple[Trigger, Mode], _Row] = {
    (Trigger.MONTHLY, "full"): _Row(with_window=False, everything=True, priority=_HIGH),
    (Trigger.QUARTERLY, "full"): _Row(with_window=False, everything=True, priority=_HIGH),
    (Trigger.PERFORMANCE_DECAY, "full"): _Row(with_window=False, everything=True, priority=_MEDIUM),
    (Trigger.WEEKLY, "incremental"): _Row(with_window=True, everything=False, priority=_LOWEST),
    (Trigger.WEEKLY, "full"): _Row(with_window=True, everything=False, priority=_LOWEST),
}


def chosen(true: Collection[Trigger], retrain: Retrain) -> Trigger | None:
    """The one trigger that starts a run, by priority, among those that the policy has not switched off.

    A quarter's end is a month's end too, and is called by the longer of the two.
    """
    able = [each for each in Trigger if each in true and mode_of(each, retrain) != "off"]
    if able[:2] == [Trigger.MONTHLY, Trigger.QUARTERLY]:
        return Trigger.QUARTERLY
    return able[0] if able else None


def mode_of(trigger: Trigger, retrain: Retrain) -> Literal["off"] | Mode:
    """What the policy says to this trigger."""
    modes: Mapping[Trigger, Literal["off"] | Mode] = {
        Trigger.MONTHLY: retrain.monthly,
        Trigger.QUARTERLY: retrain.quarterly,
        Trigger.PERFORMANCE_DECAY: retrain.performance_decay,
        Trigger.WEEKLY: retrain.weekly,
    }
    return modes[trigger]


def what_starts(trigger: Trigger, retrain: Retrain) -> Started | None:
    """The training that this trigger starts; None where the policy says off."""
    mode = mode_of(trigger, retrain)
    return None if mode == "off" else started_as(trigger, mode, retrain)


def started_as(trigger: Trigger, mode: Mode, retrain: Retrain) -> Started:
    """The training of a trigger that was decided on in this mode."""
    return ROWS[trigger, mode].started(mode, retrain)
