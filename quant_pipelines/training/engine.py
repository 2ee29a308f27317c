"""The one entry of every training: prepare, configure, train, evaluate, and say how far it is."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from quant_pipelines.clock import Clock
from quant_pipelines.evaluation.metrics import Judged, measured
from quant_pipelines.models import Files, Fitting, Forecaster, History, Machine, Step, TrainingStopped, spec_named
from quant_pipelines.snapshots import SnapshotArrays
from quant_pipelines.training.data import Material, Part, material_of
from quant_pipelines.training.features import analyze_feature_correlations
from quant_pipelines.training.order import Order
from quant_pipelines.training.progress import Announcer, Listener, Stage
from quant_pipelines.training.report import Epoch, TrainingReport

# In the report's facts: why a training was not the one that was asked for.
ADJUSTED = "adjusted"
_CLOSEST_PAIRS = 50


class TrainingTookTooLong(TrainingStopped):
    """The training was ended after the time it may take (X-26)."""

    code = "QP002"


def end_of(error: BaseException) -> Stage:
    """Whether an error means that a training failed, or that somebody ended it: Ctrl-C and Dagster's own interrupt
    are no `Exception`."""
    stopped = isinstance(error, TrainingStopped) or not isinstance(error, Exception)
    return Stage.STOPPED if stopped else Stage.FAILED


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A training that ended well: the model's files and the report."""

    order: Order
    files: Files
    report: TrainingReport


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Trains. `seconds` counts time from any fixed moment; `stop` is asked at every step whether to end."""

    clock: Clock
    listener: Listener
    longest_seconds: float = 7200.0
    stop: Callable[[], bool] = lambda: False
    seconds: Callable[[], float] = field(default=time.monotonic)

    def train(self, order: Order, arrays: SnapshotArrays) -> Trained:
        """Train what was ordered. However it ends, the last notification says so."""
        announcer = Announcer(model_id=order.training_id, listener=self.listener, seconds=self.seconds)
        try:
            return self._trained(order, arrays, announcer)
        except BaseException as error:
            announcer.stage(end_of(error), f"{type(error).__name__}: {error}")
            raise

    def _trained(self, order: Order, arrays: SnapshotArrays, announcer: Announcer) -> Trained:
        began = self.seconds()
        announcer.stage(Stage.PREPARING, f"Preparing {order.model_name} from snapshot {order.snapshot_id[:16]}.")
        material = material_of(arrays, order.settings, order.strategy.training)
        announcer.stage(Stage.CONFIGURING, f"{order.settings.kind} with {_written(order)}.")
        model = spec_named(order.settings.kind).make(order.settings, None)
        rows, chosen_by = len(material.train.examples), len(material.validation.examples)
        announcer.stage(Stage.TRAINING, f"Learning from {rows} rows, choosing by {chosen_by}.")
        fitting = Fitting(seed=order.seed, machine=order.machine, watch=self._watch(announcer, began))
        history = model.fit(material.train.examples, material.validation.examples, fitting)
        announcer.stage(Stage.EVALUATING, f"Measuring the model of step {history.best}.")
        report = self._report(order, material, model, history, seconds=self.seconds() - began)
        files = model.state()
        announcer.stage(Stage.COMPLETED, f"Trained in {report.training_duration:.1f} s.")
        return Trained(order=order, files=files, report=report)

    def _watch(self, announcer: Announcer, began: float) -> Callable[[Step], None]:
        def watch(step: Step) -> None:
            announcer.step(step)
            if self.stop():
                raise TrainingStopped(f"Stopped at step {step.number} of {step.of}; nothing of it is kept.")
            if self.seconds() - began > self.longest_seconds:
                raise TrainingTookTooLong(
                    f"Ended at step {step.number} after {self.longest_seconds:.0f} s, the longest a training may take. "
                    "Lower its epochs, or raise retrain.longest_seconds of the strategy."
                )

        return watch

    def _report(
        self, order: Order, material: Material, model: Forecaster, history: History, *, seconds: float
    ) -> TrainingReport:
        described = model.describe()
        importance = None if described.importance is None else dict(described.importance)
        return TrainingReport(
            model_id=order.training_id,
            model_name=order.model_name,
            model_kind=order.settings.kind,
            training_duration=seconds,
            total_epochs=len(history.steps),
            best_epoch=history.best,
            final_metrics=measures_of(model, material, order.machine),
            training_history=_epochs(history.steps),
            hyperparameters=dict(order.settings.parameters),
            data_info={
                "snapshot": order.snapshot_id,
                "train_rows": len(material.train.examples),
                "validation_rows": len(material.validation.examples),
                "columns": len(order.settings.columns),
                "sessions_seen": order.settings.length,
                "too_short": dict(material.short),
                "task": order.settings.task.kind,
                "outputs": order.settings.task.outputs,
                "weights": material.train.examples.weight is not None,
                "cv_performed": False,
                "size": described.size,
                **({} if order.adjusted is None else {ADJUSTED: order.adjusted}),
                **described.facts,
            },
            feature_importance=importance,
            feature_correlations=tuple(analyze_feature_correlations(material.train.examples.inputs)[:_CLOSEST_PAIRS]),
            importance_is=str(described.facts.get("importance", "")) or None,
            created_at=self.clock.now(),
        )


def report_of_failure(
    order: Order, steps: Sequence[Step], error: BaseException, *, seconds: float, clock: Clock
) -> TrainingReport:
    """How far a training got that did not end well, and why (S2-90, S3-66). No step of it was kept."""
    return TrainingReport(
        model_id=order.training_id,
        model_name=order.model_name,
        model_kind=order.settings.kind,
        training_duration=seconds,
        total_epochs=len(steps),
        best_epoch=0,
        final_metrics={},
        training_history=_epochs(steps),
        hyperparameters=dict(order.settings.parameters),
        data_info={"snapshot": order.snapshot_id, "columns": len(order.settings.columns)},
        error_info=f"{type(error).__name__}: {error}",
        created_at=clock.now(),
    )


def _epochs(steps: Sequence[Step]) -> tuple[Epoch, ...]:
    return tuple(Epoch(number=each.number, metrics=dict(each.metrics)) for each in steps)


def measures_of(model: Forecaster, material: Material, machine: Machine) -> dict[str, float]:
    """What the model is worth on the rows it learned from and on those it was chosen by, as part_measure."""
    parts = {"train": material.train, "validation": material.validation}
    return {
        f"{name}_{measure}": value
        for name, part in parts.items()
        for measure, value in _measured(model, part, machine).items()
    }


def _measured(model: Forecaster, part: Part, machine: Machine) -> dict[str, float]:
    if not len(part.examples):
        return {}
    return measured(
        Judged(
            task=model.settings.task,
            predictions=model.predict(part.examples.inputs, machine),
            target=part.examples.target,
            value=part.value,
            sessions=part.examples.inputs.sessions,
        )
    )


def _written(order: Order) -> str:
    return ", ".join(f"{name} {value}" for name, value in order.settings.parameters.items()) or "no hyper-parameters"
