"""One training with everything around it: watched in MLflow, counted in the ledger, kept in the model store."""

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from quant_pipelines.clock import Clock
from quant_pipelines.digest import digest_json
from quant_pipelines.errors import DependencyFailed, StoreDamaged
from quant_pipelines.lake import Fence
from quant_pipelines.models import BatchTooLarge, Diverged, OutOfMemory, Step
from quant_pipelines.registry import Manifest, ModelStore, StoredTask, TrackedRun, Tracker, Version, pack
from quant_pipelines.snapshots import Document, SnapshotArrays
from quant_pipelines.training.engine import ADJUSTED, Engine, Trained, end_of, report_of_failure
from quant_pipelines.training.ledger import Ledger
from quant_pipelines.training.order import Order
from quant_pipelines.training.page import training_page
from quant_pipelines.training.progress import PERCENT, Listener, Progress, Stage, to_all
from quant_pipelines.training.report import TrainingReport
from quant_pipelines.training.shelf import Shelf, ShelfDamaged, Waiting
from quant_pipelines.training.surroundings import DEVICE, PROCESSOR, THREADS, libraries, processor
from quant_pipelines.training.tracked import ERROR, ERROR_LENGTH, STAGE, TRAINING_ID, plain, told_to

REPORT, REPORT_FILE, PAGE_FILE = "report", "training_report.json", "training_report.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A stored version with its report, and whether it had to be trained now; `damage` is that of the one before.

    `order` is what was trained in the end; its `adjusted` says why that is not what was asked for, where it is not.
    """

    order: Order
    version: Version
    manifest: Manifest
    report: TrainingReport
    trained: bool
    damage: str | None
    page: str

    @property
    def content_id(self) -> str:
        """What the version holds, whenever it was made: equal trainings have equal ids."""
        return content_id(self.manifest)


def content_id(manifest: Manifest) -> str:
    """The name of a model by its training and its bytes; when and how fast it was made is no part of it."""
    return digest_json([manifest.training_id, {name: each.sha256 for name, each in manifest.files.items()}])


def report_of(manifest: Manifest) -> TrainingReport:
    """The report that was stored, and signed, with a version."""
    return TrainingReport.model_validate(manifest.facts[REPORT])


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Trains and stores. What was trained before is found, not trained again; a store that fails costs no training.

    `fence` is held while a version becomes visible, `tags` say in MLflow who asked.
    """

    models: ModelStore
    tracker: Tracker
    ledger: Ledger
    shelf: Shelf
    clock: Clock
    actor: str
    listener: Listener
    stop: Callable[[], bool] = lambda: False
    fence: Fence = nullcontext
    tags: Mapping[str, str] = field(default_factory=dict[str, str])

    def train(self, order: Order, document: Document, arrays: SnapshotArrays) -> Published:
        """The stored version of this order. One that is damaged is trained again, and that is told.

        Where memory runs out over a batch, half of it is ordered instead; where that does not help, or the training
        diverges, the strategy's fallback. Each is another training, under its own id.
        """
        while True:
            try:
                return self._published(order, document, arrays)
            except (OutOfMemory, Diverged) as error:
                other = _instead(order, error)
                if other is None:
                    raise
                self._tell(other, f"{error} Training again with {other.adjusted}.")
                order = other

    def _published(self, order: Order, document: Document, arrays: SnapshotArrays) -> Published:
        stored, damage = self._intact(order)
        run = self._run(order) if stored is None else self.tracker.run(stored.run_id)
        version = self._stored(order, document, arrays, run) if stored is None else stored
        # Also where it was stored before: the process that stored it may have died before it could end its run.
        if not run.finished:
            run.announce({STAGE: Stage.COMPLETED})
            run.end("FINISHED")
        self.shelf.drop(order)
        manifest = self.models.load(version.model, version.number).manifest
        return Published(
            order=order,
            version=version,
            manifest=manifest,
            report=report_of(manifest),
            trained=stored is None,
            damage=damage,
            page=run.url,
        )

    def _intact(self, order: Order) -> tuple[Version | None, str | None]:
        """The version of this order where it can be loaded, and what is wrong with it where it cannot."""
        stored = self.models.with_training(order.model_name, order.training_id)
        if stored is None:
            return None, None
        try:
            self.models.load(stored.model, stored.number)
        except StoreDamaged as error:
            return None, f"{stored.name}: {error}"
        return stored, None

    def _stored(self, order: Order, document: Document, arrays: SnapshotArrays, run: TrackedRun) -> Version:
        waiting = self._waiting(order)
        if waiting is None:
            trained = self._attempt(order, arrays, run)
            self.shelf.put(trained, run.id)
        else:
            trained = waiting.trained
            told_to(run, self.clock)(_found(waiting))
            _replay(trained.report, run)
            _hand_over(self.tracker.run(waiting.run_id), run)
        run.log_metrics(trained.report.final_metrics, step=trained.report.best_epoch)
        _log_report(run, trained.report)
        for name, content in _artifacts(trained.report).items():
            run.log_text(json.dumps(content, indent=2), name)
        packed = pack(_manifest(trained, document), trained.files)
        with self.fence():
            return self.models.save(packed, run.id, actor=self.actor)

    def _waiting(self, order: Order) -> Waiting | None:
        """What waits on the shelf; damage there is told before it is thrown away."""
        try:
            return self.shelf.find(order)
        except ShelfDamaged as damage:
            self._tell(order, str(damage))
            self.shelf.drop(order)
            return None

    def _tell(self, order: Order, message: str) -> None:
        self.listener(Progress(model_id=order.training_id, percent=0.0, stage=Stage.NOT_STARTED, message=message))

    def _attempt(self, order: Order, arrays: SnapshotArrays, run: TrackedRun) -> Trained:
        """Train, and put on record how it ended: even where the process is told to end."""
        began, steps = self.ledger.began(order), list[Step]()
        engine = Engine(
            clock=self.clock,
            listener=to_all((_kept_in(steps), self.listener, told_to(run, self.clock))),
            stop=self.stop,
            longest_seconds=order.strategy.retrain.longest_seconds,
        )
        started = engine.seconds()
        try:
            trained = engine.train(order, arrays)
        except BaseException as error:
            stage, seconds = end_of(error), engine.seconds() - started
            outcome = "stopped" if stage is Stage.STOPPED else "failed"
            self.ledger.ended(began, order, outcome, reason=f"{type(error).__name__}: {error}")
            _end(run, stage, error, report_of_failure(order, steps, error, seconds=seconds, clock=self.clock))
            raise
        self.ledger.ended(began, order, "completed", metrics=trained.report.final_metrics)
        return trained

    def _run(self, order: Order) -> TrackedRun:
        tags = {
            "strategy": order.strategy.name,
            "market": order.strategy.market,
            TRAINING_ID: order.training_id,
            "train_lineage_id": order.snapshot_id,
            **({} if order.adjusted is None else {ADJUSTED: order.adjusted}),
            **self.tags,
        }
        params = {"kind": order.settings.kind, "seed": order.seed, **order.settings.parameters}
        return self.tracker.start(order.strategy.market, order.strategy.name, params=params, tags=tags)


def _instead(order: Order, error: OutOfMemory | Diverged) -> Order | None:
    """What may be trained where this could not be; None where only a person can help."""
    smaller = order.with_smaller_batch(error.rows) if isinstance(error, BatchTooLarge) else None
    return smaller or order.with_fallback("it diverged" if isinstance(error, Diverged) else "memory ran out")


def _artifacts(report: TrainingReport) -> dict[str, Any]:
    """What features are to each other and to the model, as files (S0-07)."""
    return {
        "feature_correlations.json": [each.model_dump() for each in report.feature_correlations],
        "feature_importance.json": report.importance_shares,
    }


def _found(waiting: Waiting) -> Progress:
    return Progress(
        model_id=waiting.trained.order.training_id,
        percent=PERCENT[Stage.EVALUATING],
        stage=Stage.EVALUATING,
        message=f"Trained before, in run {waiting.run_id}; what waits on the shelf is stored now.",
    )


def _kept_in(steps: list[Step]) -> Listener:
    def listener(progress: Progress) -> None:
        if progress.step is not None:
            steps.append(progress.step)

    return listener


def _log_report(run: TrackedRun, report: TrainingReport) -> None:
    run.log_text(report.model_dump_json(indent=2), REPORT_FILE)
    run.log_text(training_page(report), PAGE_FILE)


def _replay(report: TrainingReport, run: TrackedRun) -> None:
    """The curves of a training whose own run did not get them to the end."""
    for epoch in report.training_history:
        run.log_metrics(epoch.metrics, step=epoch.number)


def _hand_over(before: TrackedRun, run: TrackedRun) -> None:
    """End the run that watched the training but could not store it, and say which one has."""
    before.set_tags({"stored_by": run.id})
    before.end("FAILED")


def _end(run: TrackedRun, stage: Stage, error: BaseException, report: TrainingReport) -> None:
    """End the run in MLflow. The training's own error is the one to be told, also where MLflow cannot be reached."""
    try:
        run.announce({STAGE: stage, ERROR: plain(f"{type(error).__name__}: {error}", ERROR_LENGTH)})
        run.end("KILLED" if stage is Stage.STOPPED else "FAILED")
        _log_report(run, report)
    except DependencyFailed as unreachable:
        error.add_note(f"Its run in MLflow could not be ended: {unreachable}")


def _manifest(trained: Trained, document: Document) -> Manifest:
    order, recipe = trained.order, document.recipe
    return Manifest(
        model=order.model_name,
        kind=order.settings.kind,
        parameters=dict(order.settings.parameters),
        task=StoredTask(kind=order.settings.task.kind, outputs=order.settings.task.outputs),
        columns=order.settings.columns,
        length=order.settings.length,
        feature_versions={each.name: each.version for each in recipe.features},
        label_set=order.strategy.label_set,
        snapshot_id=document.id,
        training_id=order.training_id,
        code_version=order.code_version,
        seed=order.seed,
        libraries=libraries(),
        metrics=trained.report.final_metrics,
        created_at=trained.report.created_at,
        facts={
            REPORT: trained.report.model_dump(mode="json"),
            "normalisation": recipe.normalisation.model_dump(mode="json"),
            DEVICE: order.machine.device,
            THREADS: order.machine.threads,
            PROCESSOR: processor(),
        },
    )
