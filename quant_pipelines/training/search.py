"""Searching hyper-parameters: a declared budget, purged folds, every trial on record, and none lost to a kill."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from quant_pipelines.digest import digest_json
from quant_pipelines.errors import DataRejected
from quant_pipelines.models import ModelSpec, spec_named
from quant_pipelines.settings import Settings
from quant_pipelines.snapshots import SnapshotArrays
from quant_pipelines.training.ledger import Ledger
from quant_pipelines.training.order import Order
from quant_pipelines.training.search_folds import Fold, Places, folds_of
from quant_pipelines.training.search_overfitting import overfitting_of
from quant_pipelines.training.search_record import Record, held_record
from quant_pipelines.training.search_result import (
    Deflation,
    NoTrialLog,
    SearchListener,
    SearchResult,
    TrialLog,
    TrialRow,
    unheard,
)
from quant_pipelines.training.search_running import Running, Trials
from quant_pipelines.training.search_sampling import Sampling
from quant_pipelines.training.search_settings import LEAST_IS_BEST, BadSearch, Objective, Search, space_of
from quant_pipelines.validation import FEWEST_NAMES

_ONLY_NUMBERS, _ONLY_CLASSES = ("mse", "mae"), ("log_loss", "accuracy")


class NothingFound(DataRejected):
    """No trial of a search came to its end."""

    code = "QP268"


@dataclass(frozen=True, kw_only=True)
class Searcher:
    """Searches. `seconds` counts time from any fixed moment; `stop` is asked at every step whether to end."""

    folder: Path
    ledger: Ledger
    listener: SearchListener = unheard
    log: TrialLog = field(default_factory=NoTrialLog)
    stop: Callable[[], bool] = lambda: False
    seconds: Callable[[], float] = field(default=time.monotonic)

    def search(self, order: Order, arrays: SnapshotArrays, search: Search) -> SearchResult:
        """Try settings around those of the order until the budget is spent; a search that was cut goes on."""
        spec = spec_named(order.settings.kind)
        _require_workers(search, spec)
        space = space_of(search, spec, order.settings)
        found = folds_of(arrays, order.settings, order.strategy.training, search)
        objective = _objective(order, search, found.folds)
        study = _study(order, search, objective, space=sorted(space.items()))
        with held_record(self.folder, study) as record:
            sampling = Sampling(
                space, order.settings.parameters, least_is_best=objective in LEAST_IS_BEST, seed=search.seed
            )
            running = Running(
                order=order, search=search, spec=spec, folds=found.folds, objective=objective, ledger=self.ledger,
                listener=self.listener, log=self.log, stop=self.stop, seconds=self.seconds,
            )  # fmt: skip
            trials = Trials(running, record, sampling)
            trials.run()
            return _result(study, running, record, sampling, paths=found.paths, spent=trials.spent_seconds)


def open_searcher(settings: Settings, ledger: Ledger) -> Searcher:
    """A searcher that keeps its records in the home folder."""
    return Searcher(folder=settings.home_path / "searches", ledger=ledger)


def _require_workers(search: Search, spec: ModelSpec) -> None:
    if search.workers > 1 and not spec.trains_in_threads:
        raise BadSearch(
            f"{search.workers} trials of {spec.name} cannot run at once in one process. Use one worker; the threads "
            "or the GPU of the machine serve one trial after the other."
        )


def _objective(order: Order, search: Search, folds: tuple[Fold, ...]) -> Objective:
    """What trials are judged by; without a choice the IC, where sessions have names enough to rank."""
    classes = order.settings.task.kind == "classes"
    if search.objective is not None:
        if search.objective in (_ONLY_NUMBERS if classes else _ONLY_CLASSES):
            raise BadSearch(
                f"{search.objective} does not measure {order.settings.task.kind}. Use ic, rank_ic or "
                f"{'log_loss' if classes else 'mse'}."
            )
        return search.objective
    _, names = np.unique(np.concatenate([each.test.examples.inputs.sessions for each in folds]), return_counts=True)
    if np.median(names) >= FEWEST_NAMES:
        return "ic"
    return "log_loss" if classes else "mse"


def _study(order: Order, search: Search, objective: str, *, space: object) -> str:
    """The search's name: all that decides its trials, and nothing of how long it may go on."""
    question = {**search.question, "objective": objective, "space": repr(space)}
    return digest_json({"order": order.training_id, "question": question})


def _result(
    study: str, running: Running, record: Record, sampling: Sampling, *, paths: tuple[Places, ...], spent: float
) -> SearchResult:
    rows = tuple(record.ended[number] for number in sorted(record.ended))
    done = [each for each in rows if each.state == "completed" and each.value is not None]
    if not done:
        reasons = [each.reason for each in rows if each.reason] or ["the time was spent before one ended"]
        raise NothingFound(f"None of {len(rows)} trials of {running.order.model_name} came to its end: {reasons[0]}")
    least = running.objective in LEAST_IS_BEST
    best = min(done, key=lambda row: (_value(row) if least else -_value(row), row.number))
    return SearchResult(
        study=study,
        model_name=running.order.model_name,
        model_kind=running.spec.name,
        snapshot_id=running.order.snapshot_id,
        objective=running.objective,
        least_is_best=least,
        best_number=best.number,
        best_value=_value(best),
        best_parameters=best.parameters,
        start_value=next((each.value for each in done if each.number == 0), None),
        folds=len(running.folds),
        trials=rows,
        importance=sampling.importance(),
        deflation=_deflation(rows, [_value(each) for each in done]),
        overfitting=overfitting_of(rows, running.objective, paths),
        seconds=spent,
    )


def _deflation(rows: tuple[TrialRow, ...], values: list[float]) -> Deflation:
    states = [each.state for each in rows]
    return Deflation(
        trials=len(rows),
        completed=states.count("completed"),
        pruned=states.count("pruned"),
        failed=states.count("failed"),
        variance=float(np.var(values, ddof=1)) if len(values) > 1 else None,
    )


def _value(row: TrialRow) -> float:
    return row.value if row.value is not None else float("nan")
