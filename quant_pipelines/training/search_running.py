"""The trials of a search, run one by one or side by side, and what is written of each."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np

from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.evaluation.metrics import Judged, measured
from quant_pipelines.models import Fitting, ModelSpec, NotLearnable, Prepares, Step, TrainingStopped, Value
from quant_pipelines.training.ledger import End, Ledger
from quant_pipelines.training.order import Order
from quant_pipelines.training.search_folds import Fold
from quant_pipelines.training.search_overfitting import session_values
from quant_pipelines.training.search_record import Record
from quant_pipelines.training.search_result import SearchListener, SearchProgress, State, TrialLog, TrialRow
from quant_pipelines.training.search_sampling import Sampling
from quant_pipelines.training.search_settings import LEAST_IS_BEST, Search

_LEDGER: dict[State, End] = {"completed": "completed", "pruned": "stopped", "failed": "failed", "cut": "stopped"}


class SearchTimeSpent(TrainingStopped):
    """The search's seconds are over; its trial under way is cut."""

    code = "QP003"


@dataclass(frozen=True, kw_only=True)
class Running:
    """What all trials of a search share."""

    order: Order
    search: Search
    spec: ModelSpec
    folds: tuple[Fold, ...]
    objective: str
    ledger: Ledger
    listener: SearchListener
    log: TrialLog
    stop: Callable[[], bool]
    seconds: Callable[[], float]

    def order_of(self, parameters: dict[str, Value]) -> Order:
        """The order with a trial's settings."""
        settings = self.order.settings
        return replace(self.order, settings=replace(settings, parameters={**settings.parameters, **parameters}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """The objective of one fold's test, and what it is the mean of, where it is one."""

    value: float
    by_session: tuple[float | None, ...]


class Folds:
    """Fits and judges one fold at a time; what a kind can prepare is prepared once for all trials."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._prepared: dict[int, Any] = {}
        self._locks = [Lock() for _ in running.folds]

    def tested(self, place: int, order: Order, watch: Callable[[Step], None]) -> Tested:
        """What a fold's test says after learning from its training part."""
        running, fold = self._running, self._running.folds[place]
        model = running.spec.make(order.settings, None)
        fitting = Fitting(seed=order.seed, machine=order.machine, watch=watch)
        if isinstance(model, Prepares):
            model.fit_prepared(self._prepare(place, model, fitting), fitting)
        else:
            model.fit(fold.train, fold.tail, fitting)
        examples = fold.test.examples
        judged = Judged(
            task=order.settings.task,
            predictions=model.predict(examples.inputs, order.machine),
            target=examples.target,
            value=fold.test.value,
            sessions=examples.inputs.sessions,
        )
        found = measured(judged).get(running.objective)
        if found is None:
            raise NotLearnable(
                f"Fold {place + 1} has no {running.objective}: the forecasts of each session are all the same, or not "
                "finite."
            )
        return Tested(value=found, by_session=session_values(judged, running.objective))

    def _prepare(self, place: int, model: Prepares, fitting: Fitting) -> Any:
        with self._locks[place]:
            if place not in self._prepared:
                fold = self._running.folds[place]
                self._prepared[place] = model.prepare(fold.train, fold.tail, fitting)
            return self._prepared[place]


class Trials:
    """Runs trials until the budget is spent. What is shared is touched under one lock."""

    def __init__(self, running: Running, record: Record, sampling: Sampling) -> None:
        self._running, self._record, self._sampling = running, record, sampling
        self._folds = Folds(running)
        self._lock = Lock()
        self._began = running.seconds()
        self._before = record.spent_seconds
        self._repeat = record.to_repeat
        self._broken = False

    @property
    def spent_seconds(self) -> float:
        """Time that went into the search, that of earlier processes included."""
        return self._before + self._running.seconds() - self._began

    def run(self) -> None:
        """All trials that the budget allows. What a dead process left open is ended in the ledger first."""
        self._bury_the_dead()
        self._sampling.remember(self._record.ended[number] for number in sorted(self._record.ended))
        workers = self._running.search.workers
        if workers == 1:
            self._work()
            return
        with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="trial") as pool:
            for each in [pool.submit(self._work) for _ in range(workers)]:
                each.result()

    def _bury_the_dead(self) -> None:
        for number, began in self._record.open_since.items():
            order = self._running.order_of(self._record.parameters[number])
            self._running.ledger.ended(began, order, "failed", reason="The process died.")

    def _work(self) -> None:
        try:
            while (number := self._begin()) is not None:
                self._end(self._tried(number))
        except BaseException:
            self._broken = True
            raise

    def _begin(self) -> int | None:
        """The next trial, on record before it starts; None where there is to be no other."""
        running = self._running
        with self._lock:
            if running.stop():
                raise TrainingStopped("The search was stopped. Start it again, and it goes on.")
            number = self._repeat[0] if self._repeat else self._record.next_number
            if self._broken or self._is_late() or (running.search.trials or number + 1) <= number:
                return None
            self._repeat = self._repeat[1:]
            parameters = self._sampling.ask(number, self._record.parameters.get(number))
            self._record.began(number, parameters, running.ledger.began(running.order_of(parameters), "trial"))
            running.log.begin(number, parameters)
            self._tell(number, "begun", ", ".join(f"{name} {value}" for name, value in parameters.items()))
            return number

    def _tried(self, number: int) -> TrialRow:
        """Run one trial; whatever was refused is its end, not that of the search."""
        began, tested = self._running.seconds(), list[Tested]()

        def row(state: State, reason: str | None = None) -> TrialRow:
            values = tuple(each.value for each in tested)
            return TrialRow(
                number=number,
                parameters=self._record.parameters[number],
                state=state,
                value=float(np.mean(values)) if state == "completed" else None,
                values=values,
                by_session=tuple(one for each in tested for one in each.by_session),
                seconds=self._running.seconds() - began,
                reason=reason,
            )

        try:
            return row(*self._tested(number, tested))
        except SearchTimeSpent as error:
            return row("cut", str(error))
        except (QuantPipelinesError, MemoryError) as error:
            if isinstance(error, TrainingStopped):
                self._end(row("cut", str(error)))
                raise
            return row("failed", f"{type(error).__name__}: {error}")
        except Exception as error:
            self._end(row("failed", f"{type(error).__name__}: {error}"))
            raise

    def _tested(self, number: int, tested: list[Tested]) -> tuple[State, str | None]:
        running, last = self._running, len(self._running.folds) - 1
        order = running.order_of(self._record.parameters[number])
        for place in range(last + 1):
            tested.append(self._folds.tested(place, order, self._watch))
            values = [each.value for each in tested]
            with self._lock:
                hopeless = self._sampling.is_hopeless(number, values) and running.search.pruning
                self._tell(number, "tested", f"Fold {place + 1}: {running.objective} {values[-1]:.6g}.")
            if hopeless and place < last:
                return "pruned", f"After {place + 1} of {last + 1} folds worse than the median of the trials before."
        return "completed", None

    def _watch(self, step: Step) -> None:
        if self._broken or self._running.stop():
            raise TrainingStopped(f"Stopped at step {step.number} of {step.of}; the search goes on when started again.")
        if self._is_late():
            raise SearchTimeSpent(
                f"Cut at step {step.number}: the search's {self._running.search.seconds:.0f} s are over."
            )

    def _is_late(self) -> bool:
        allowed = self._running.search.seconds
        return allowed is not None and self.spent_seconds >= allowed

    def _end(self, row: TrialRow) -> None:
        """Put the end on record: in the ledger, in the search's own record, in the log."""
        running = self._running
        metrics = {f"fold_{place}_{running.objective}": value for place, value in enumerate(row.values, start=1)}
        if row.value is not None:
            metrics[running.objective] = row.value
        with self._lock:
            began = self._record.open_since[row.number]
            order = running.order_of(row.parameters)
            running.ledger.ended(began, order, _LEDGER[row.state], reason=row.reason, metrics=metrics)
            self._record.end(row, self.spent_seconds)
            self._sampling.tell(row)
            running.log.end(row.number, row.value, row.state, metrics)
            self._tell(row.number, row.state, row.reason or f"{running.objective} {row.value:.6g}.")

    def _tell(self, number: int, state: Any, text: str) -> None:
        done = [each.value for each in self._record.ended.values() if each.value is not None]
        best = None
        if done:
            best = min(done) if self._running.objective in LEAST_IS_BEST else max(done)
        shown = "" if best is None else f" The best so far: {best:.6g}."
        of = self._running.search.trials
        counted = f"{number + 1} of {of}" if of is not None else str(number + 1)
        self._running.listener(
            SearchProgress(
                number=number, of=of, state=state, best=best, message=f"Trial {counted} {state}: {text}{shown}"
            )
        )
