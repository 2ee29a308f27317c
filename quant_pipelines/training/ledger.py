"""The trial ledger: every training that was ever begun, by strategy, however it ended.

Whoever asks how likely a good result is by luck needs the number of attempts, not of successes.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from quant_pipelines.documents import Entry
from quant_pipelines.journal import Journal, Kind
from quant_pipelines.models import Value
from quant_pipelines.training.order import Order

Purpose = Literal["training", "trial"]
End = Literal["completed", "failed", "stopped"]


class Began(Entry, frozen=True):
    """A training that was begun; a trial is one of a search."""

    training_id: str
    kind: str
    snapshot_id: str
    purpose: Purpose
    seed: int
    parameters: dict[str, Value]


class Ended(Entry, frozen=True):
    """How it ended. `began` is the number of the row that says it was begun; a reason is there where it failed."""

    began: int
    training_id: str
    outcome: End
    reason: str | None = None
    metrics: dict[str, float] = Field(default_factory=dict)


BEGAN = Kind("training_began", Began)
ENDED = Kind("training_ended", Ended)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many trainings a strategy has had. Without an end are those that run, and those whose process died."""

    begun: int
    trials: int
    completed: int
    failed: int
    stopped: int

    @property
    def without_end(self) -> int:
        return self.begun - self.completed - self.failed - self.stopped


@dataclass(frozen=True)
class Ledger:
    """Writes into the journal and counts what stands there."""

    journal: Journal
    actor: str

    def began(self, order: Order, purpose: Purpose = "training") -> int:
        """Put a training on record before it starts."""
        value = Began(
            training_id=order.training_id,
            kind=order.settings.kind,
            snapshot_id=order.snapshot_id,
            purpose=purpose,
            seed=order.seed,
            parameters=dict(order.settings.parameters),
        )
        return self.journal.append(BEGAN.entry(value, subject=order.model_name, actor=self.actor)).sequence

    def ended(
        self,
        began: int,
        order: Order,
        outcome: End,
        *,
        reason: str | None = None,
        metrics: dict[str, float] | None = None,
    ) -> None:
        """Put its end on record, once."""
        value = Ended(began=began, training_id=order.training_id, outcome=outcome, reason=reason, metrics=metrics or {})
        entry = ENDED.entry(value, subject=order.model_name, actor=self.actor)
        self.journal.append_once(f"training_ended:{began}", entry)

    def count(self, model_name: str) -> Count:
        """Every training of a strategy so far."""
        begun = [BEGAN.of(row) for row in self.journal.rows(kind=BEGAN.name, subject=model_name)]
        ends = [ENDED.of(row).outcome for row in self.journal.rows(kind=ENDED.name, subject=model_name)]
        return Count(
            begun=len(begun),
            trials=sum(each.purpose == "trial" for each in begun),
            completed=ends.count("completed"),
            failed=ends.count("failed"),
            stopped=ends.count("stopped"),
        )
