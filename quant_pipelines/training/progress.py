"""How far a training is: stages, percentages, and the time that is left (X-11, S2-21)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from quant_pipelines.models import Step

_LAST = 100.0


class Stage(StrEnum):
    """The stages of a training, in order, and how it can end."""

    NOT_STARTED = "not_started"
    PREPARING = "preparing"
    CONFIGURING = "configuring"
    TRAINING = "training"
    EVALUATING = "evaluating"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"


# The percentage at which a stage is announced. Training goes on to where evaluating begins.
PERCENT: Mapping[Stage, float] = {
    Stage.NOT_STARTED: 0.0,
    Stage.PREPARING: 10.0,
    Stage.CONFIGURING: 20.0,
    Stage.TRAINING: 30.0,
    Stage.EVALUATING: 90.0,
    Stage.COMPLETED: _LAST,
}

ENDS = frozenset({Stage.COMPLETED, Stage.FAILED, Stage.STOPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One notification. `remaining_seconds` assumes that every step is made: a training that stops early is done
    sooner."""

    model_id: str
    percent: float
    stage: Stage
    message: str
    step: Step | None = None
    remaining_seconds: float | None = None


Listener = Callable[[Progress], None]


def to_all(listeners: Iterable[Listener]) -> Listener:
    """One listener that tells them all, in order."""
    told = tuple(listeners)

    def listener(progress: Progress) -> None:
        for each in told:
            each(progress)

    return listener


@dataclass(kw_only=True)
class Announcer:
    """Turns what happens in a training into notifications that never go back."""

    model_id: str
    listener: Listener
    # Seconds that passed, from any fixed moment: time.monotonic, or a test's own.
    seconds: Callable[[], float]
    percent: float = field(default=0.0, init=False)
    _began: float = field(default=0.0, init=False)

    def stage(self, stage: Stage, message: str) -> None:
        """Announce a stage. A training that fails or is stopped keeps the percentage it had reached."""
        self.percent = max(self.percent, PERCENT.get(stage, self.percent))
        if stage is Stage.TRAINING:
            self._began = self.seconds()
        self.listener(Progress(model_id=self.model_id, percent=self.percent, stage=stage, message=message))

    def step(self, step: Step) -> None:
        """Announce one epoch or iteration."""
        low, high = PERCENT[Stage.TRAINING], PERCENT[Stage.EVALUATING]
        self.percent = max(self.percent, low + (high - low) * step.number / step.of)
        each = (self.seconds() - self._began) / step.number
        remaining = each * (step.of - step.number)
        shown = ", ".join(f"{name} {value:.6g}" for name, value in step.metrics.items())
        self.listener(
            Progress(
                model_id=self.model_id,
                percent=self.percent,
                stage=Stage.TRAINING,
                message=f"Step {step.number} of {step.of} at most: {shown}; {remaining:.0f} s left at most.",
                step=step,
                remaining_seconds=remaining,
            )
        )
