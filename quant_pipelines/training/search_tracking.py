"""A search's trials as nested runs of the tracker."""

from collections.abc import Mapping
from threading import Lock

from quant_pipelines.models import Value
from quant_pipelines.registry import Status, TrackedRun, Tracker
from quant_pipelines.training.order import Order
from quant_pipelines.training.search_result import SearchResult, State

RESULT_FILE = "search_result.json"
_STATUS: Mapping[State, Status] = {
    "completed": "FINISHED",
    "pruned": "FINISHED",
    "failed": "FAILED",
    "cut": "KILLED",
}


class TrackedTrials:
    """One run for the search, and one below it for each trial."""

    def __init__(self, tracker: Tracker, order: Order, *, tags: Mapping[str, str]) -> None:
        self._tracker, self._market, self._tags = tracker, order.strategy.market, tags
        self.run = tracker.start(
            self._market,
            f"{order.strategy.name} search",
            params={"kind": order.settings.kind, **order.settings.parameters},
            tags={"train_lineage_id": order.snapshot_id, "strategy": order.strategy.name, **tags},
        )
        self._begun: dict[int, TrackedRun] = {}
        self._lock = Lock()

    def begin(self, number: int, parameters: Mapping[str, Value]) -> None:
        run = self._tracker.start(
            self._market, f"trial {number}", params=parameters, tags=self._tags, parent=self.run.id
        )
        with self._lock:
            self._begun[number] = run

    def end(self, number: int, value: float | None, state: State, metrics: Mapping[str, float]) -> None:
        with self._lock:
            run = self._begun.pop(number)
        found = {"value": value} if value is not None else {}
        run.log_metrics({**metrics, **found}, step=number)
        if value is not None:
            self.run.log_metrics({"value": value}, step=number)
        run.set_tags({"state": state})
        run.end(_STATUS[state])

    def ended(self, result: SearchResult) -> None:
        """Keep what was found beside the trials."""
        self.run.log_metrics({"best_value": result.best_value}, step=len(result.trials))
        self.run.log_text(result.model_dump_json(indent=2), RESULT_FILE)
        self.run.end("FINISHED")

    def broken_off(self) -> None:
        """End what was begun, where the search ends early; it goes on under another run."""
        with self._lock:
            left = [*self._begun.values(), self.run]
            self._begun.clear()
        for run in left:
            run.end("KILLED")
