"""What a search says on its way, and what it found, as values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from quant_pipelines.documents import Entry
from quant_pipelines.models import Value

# A cut trial was stopped, or its process died: it is tried again and does not count.
State = Literal["completed", "pruned", "failed", "cut"]


class TrialRow(Entry, frozen=True):
    """One trial. `values` are those of the folds that were tested, `value` is their mean where all were.

    `by_session` is what the values are means of, fold after fold; null where a session could not be ranked.
    """

    number: int
    parameters: dict[str, Value]
    state: State
    value: float | None = None
    values: tuple[float, ...] = ()
    by_session: tuple[float | None, ...] = ()
    seconds: float = 0.0
    reason: str | None = None


class Deflation(Entry, frozen=True):
    """What whoever deflates the best result needs: how many were tried, and how far apart they lay."""

    trials: int
    completed: int
    pruned: int
    failed: int
    variance: float | None


class Overfitting(Entry, frozen=True):
    """How often the best trial of one half of the sessions is below the median of the other; null: see `words`.

    `sessions` are those of a path, `paths` the ways on which they were tested.
    """

    probability: float | None
    trials: int
    sessions: int
    paths: int = 1
    words: str


class SearchResult(Entry, frozen=True):
    """What was found. Trial 0 is the strategy's own settings, so the best is never worse than those."""

    study: str
    model_name: str
    model_kind: str
    snapshot_id: str
    objective: str
    least_is_best: bool
    best_number: int
    best_value: float
    best_parameters: dict[str, Value]
    start_value: float | None
    folds: int
    trials: tuple[TrialRow, ...]
    # Each hyper-parameter's share of what the values differ by; None where there were too few trials to tell.
    importance: dict[str, float] | None
    deflation: Deflation
    overfitting: Overfitting
    seconds: float

    @property
    def gain(self) -> float | None:
        """How much better than the strategy's own settings; None where those failed."""
        if self.start_value is None:
            return None
        return (self.start_value - self.best_value) if self.least_is_best else (self.best_value - self.start_value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchProgress:
    """One notification: this trial of so many at most (None: time alone ends the search), and the best so far."""

    number: int
    of: int | None
    state: Literal["begun", "tested", "completed", "pruned", "failed", "cut"]
    best: float | None
    message: str


SearchListener = Callable[[SearchProgress], None]


class TrialLog(Protocol):
    """Keeps trials one by one elsewhere, as nested runs of an experiment tracker. A number comes again after a cut."""

    def begin(self, number: int, parameters: Mapping[str, Value]) -> None: ...

    def end(self, number: int, value: float | None, state: State, metrics: Mapping[str, float]) -> None: ...


class NoTrialLog:
    """Keeps nothing."""

    def begin(self, number: int, parameters: Mapping[str, Value]) -> None: ...

    def end(self, number: int, value: float | None, state: State, metrics: Mapping[str, float]) -> None: ...


def unheard(progress: SearchProgress) -> None:
    """Nobody listens."""
    del progress


def as_table(result: SearchResult) -> list[dict[str, Any]]:
    """The trials as rows for a page: number, state, value, then each hyper-parameter."""
    return [
        {"number": each.number, "state": each.state, "value": each.value, **each.parameters} for each in result.trials
    ]
