"""A training as its run in MLflow tells it: put there while it happens, and read back by its id (S2-21, S2-28)."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from math import isfinite

from pydantic import TypeAdapter, ValidationError

from quant_pipelines.clock import Clock
from quant_pipelines.documents import Entry
from quant_pipelines.errors import OperatorActionRequired, StoreDamaged
from quant_pipelines.registry import RunState, TrackedRun, Tracker
from quant_pipelines.training.curves import loss_and_accuracy
from quant_pipelines.training.progress import ENDS, PERCENT, Listener, Progress, Stage

TRAINING_ID = "training_id"
# Tags, and the metrics beside those that the model itself measures.
STAGE, MESSAGE, LOG, ERROR, ABANDONED = "stage", "message", "training_log", "error", "abandoned"
PERCENT_NOW, EPOCH, REMAINING = "progress_percent", "epoch", "remaining_seconds"
_OURS = (PERCENT_NOW, EPOCH, REMAINING)
ERROR_LENGTH = 2_000
# A tag of MLflow's holds 8000 characters: seven stages, each with quotes and line breaks written as two characters.
_LINE_LENGTH = 400
_ID = re.compile("[0-9a-f]{64}")


class UnknownTraining(OperatorActionRequired):
    """An id of which no training ever began."""

    code = "QP118"


class TrainingUnreadable(StoreDamaged):
    """A run in MLflow that does not say what a training writes."""

    code = "QP573"


class LogLine(Entry, frozen=True):
    """One stage, as it was announced."""

    at: datetime
    percent: float
    stage: Stage
    message: str


class ModelInfo(Entry, frozen=True):
    """What is known of a training now (S2-28); percentages are those of X-11, times are UTC.

    `metrics` has the newest value of all that was measured, and `loss` and `accuracy` under these names: None where
    there is none, or where it is no number.
    """

    model_id: str
    model_name: str
    training_progress: float = PERCENT[Stage.NOT_STARTED]
    training_stage: Stage = Stage.NOT_STARTED
    training_log: tuple[LogLine, ...] = ()
    training_start_time: datetime | None = None
    training_end_time: datetime | None = None
    error_message: str | None = None
    message: str = ""
    epoch: int = 0
    metrics: dict[str, float | None]
    remaining_seconds: float | None = None
    page: str

    @property
    def over(self) -> bool:
        return self.training_stage in ENDS


_LINES = TypeAdapter(tuple[LogLine, ...])


def told_to(run: TrackedRun, clock: Clock) -> Listener:
    """How far it is, every step's measures live with the time that is left, and the log of its stages.

    Nothing here waits or fails where MLflow is away. How it ends is for whoever ends the run: what was trained may
    still have to be stored.
    """
    last, lines = 0, list[LogLine]()

    def listener(progress: Progress) -> None:
        nonlocal last
        found, message = {PERCENT_NOW: progress.percent}, plain(progress.message, _LINE_LENGTH)
        tags = {MESSAGE: message}
        if progress.step is None:
            lines.append(LogLine(at=clock.now(), percent=progress.percent, stage=progress.stage, message=message))
            tags |= _announced(lines)
        else:
            last = progress.step.number
            found |= {**progress.step.metrics, EPOCH: last, REMAINING: progress.remaining_seconds or 0.0}
        run.log_metrics(found, step=last, tags=tags)

    return listener


def _announced(lines: Sequence[LogLine]) -> dict[str, str]:
    stage = lines[-1].stage
    log = {LOG: _LINES.dump_json(tuple(lines)).decode()}
    return log if stage in ENDS else {**log, STAGE: stage}


def plain(text: str, length: int) -> str:
    """The text as every database takes it: printable, and not too long."""
    return "".join(
        each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in text[:length]
    )


def model_info(tracker: Tracker, model_id: str) -> ModelInfo:
    """What is known of a training by its id; the newest attempt counts where it was begun more than once."""
    run = tracker.newest(TRAINING_ID, model_id) if _ID.fullmatch(model_id) else None
    if run is None:
        # Those that run are not listed: MLflow would be asked for all runs by every wrong id, and anybody may send one.
        raise UnknownTraining(
            f"No training has the id {model_id!r}. `qp models progress` has the ids of those that run now; the pages "
            "of runs in Dagster and MLflow and `qp models list` have others."
        )
    try:
        return _read(run, model_id)
    except (KeyError, ValueError) as error:
        raise TrainingUnreadable(
            f"The run {run.id} of training {model_id[:16]} does not say what a training writes: {_first(error)}. "
            f"Undo what was changed at {run.url}, or train again."
        ) from error


def _read(run: RunState, model_id: str) -> ModelInfo:
    stage = _stage(run)
    lines = _LINES.validate_json(run.tags.get(LOG, "[]"))
    # MLflow reads metrics before tags: a stage that came in between has its percentage in the log alone.
    begun = lines[-1].percent if lines else PERCENT[Stage.NOT_STARTED]
    percent = max(begun, run.metrics.get(PERCENT_NOW, begun))
    # All is told of a training before its version is stored; only then is it complete.
    reached = PERCENT[stage] if stage is Stage.COMPLETED else min(percent, PERCENT[Stage.EVALUATING])
    failed = stage in ENDS and stage is not Stage.COMPLETED
    metrics = {name: value for name, value in run.metrics.items() if name not in _OURS}
    return ModelInfo(
        model_id=model_id,
        model_name=f"{run.tags['market']}.{run.tags['strategy']}",
        training_progress=reached,
        training_stage=stage,
        training_log=lines,
        training_start_time=run.began,
        training_end_time=run.ended,
        error_message=_why(run.tags) if failed else None,
        message=run.tags.get(MESSAGE, ""),
        epoch=int(run.metrics.get(EPOCH, 0)),
        metrics={name: _number(value) for name, value in {**loss_and_accuracy(metrics), **metrics}.items()},
        remaining_seconds=_number(run.metrics.get(REMAINING)) if stage is Stage.TRAINING else None,
        page=run.url,
    )


def _stage(run: RunState) -> Stage:
    """What the training said; how its run ended where it could not say so itself."""
    stage = Stage(run.tags.get(STAGE, Stage.NOT_STARTED))
    if stage in ENDS or run.status == "RUNNING":
        return stage
    return {"FINISHED": Stage.COMPLETED, "KILLED": Stage.STOPPED}.get(run.status, Stage.FAILED)


def _why(tags: Mapping[str, str]) -> str | None:
    return tags.get(ERROR) or tags.get(ABANDONED)


def _number(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        found = error.errors()[0]
        return f"{'.'.join(map(str, found['loc'])) or LOG}: {found['msg']}"
    return str(error)
