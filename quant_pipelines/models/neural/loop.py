"""The one training loop of all nets."""

from dataclasses import dataclass
from math import isfinite, isnan

import numpy as np
import torch
from torch import Tensor

from quant_pipelines.models.data import Examples
from quant_pipelines.models.failures import Diverged
from quant_pipelines.models.forecaster import Fitting, History, Step
from quant_pipelines.models.neural.learner import Learner
from quant_pipelines.models.neural.machine import memory_of_batches
from quant_pipelines.models.neural.pace import LoopSettings, Pace
from quant_pipelines.models.neural.rows import Lesson, lesson_of
from quant_pipelines.models.task import Task
from quant_pipelines.validation.correlations import FEWEST_NAMES, mean_ic


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Judge:
    """Rows that a net is judged by and does not learn from."""

    examples: Examples
    lesson: Lesson
    task: Task

    @classmethod
    def of(cls, examples: Examples, task: Task, device: torch.device) -> "Judge | None":
        if not len(examples):
            return None
        return cls(examples=examples, lesson=lesson_of(examples, device), task=task)

    @torch.inference_mode()
    def metrics(self, learner: Learner) -> dict[str, float]:
        raw = learner.raw(self.lesson.rows)
        losses = learner.objective.losses(raw, self.lesson.target)
        found = {"validation_loss": float(_weighted(losses, self.lesson.weight).mean())}
        hits = learner.objective.hits(raw, self.lesson.target)
        if hits is not None:
            return {**found, "validation_accuracy": float(hits.mean())}
        ic = self._ic(learner, raw) if isfinite(found["validation_loss"]) else np.nan
        return found if isnan(ic) else {**found, "validation_ic": ic}

    def _ic(self, learner: Learner, raw: Tensor) -> float:
        """Mean over the sessions of the correlation of signal and outcome; NaN where no session can be ranked."""
        score, outcome = self.task.signal(learner.answers(raw)), self.task.signal(self.examples.target)
        sessions = self.examples.inputs.sessions
        # As the report measures it: the same name means the same number.
        return mean_ic(score, outcome, sessions, fewest=FEWEST_NAMES, constant=np.nan)


class _Best:
    """The weights of the best epoch so far."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self.number, self._loss, self._state = 0, np.inf, dict[str, Tensor]()

    def look(self, number: int, loss: float) -> None:
        if loss < self._loss:
            self.number, self._loss = number, loss
            self._state = {name: each.clone() for name, each in self._learner.state_dict().items()}

    def restore(self) -> None:
        self._learner.load_state_dict(self._state)


def learn(learner: Learner, train: Lesson, judge: Judge | None, settings: LoopSettings, fitting: Fitting) -> History:
    """Train for as long as the validation rows gain by it, and keep the weights of the best epoch.

    Without validation rows every epoch is run and the last one counts.
    """
    pace, best = Pace(learner.net, settings), _Best(learner)
    # Which rows a step sees is drawn apart from dropout, so a net without dropout sees the same ones.
    order = torch.Generator().manual_seed(fitting.seed)
    steps: list[Step] = []
    for number in range(1, settings.n_epochs + 1):
        with memory_of_batches(min(settings.batch_size, len(train))):
            metrics = _epoch(learner, train, pace, torch.randperm(len(train), generator=order), settings.batch_size)
        metrics |= {"lr": pace.lr} | (judge.metrics(learner) if judge else {})
        _require_finite(metrics, number, settings)
        steps.append(Step(number=number, of=settings.n_epochs, metrics=metrics))
        fitting.watch(steps[-1])
        pace.rest(metrics["validation_loss" if judge else "train_loss"])
        if judge:
            best.look(number, metrics["validation_loss"])
            if number - best.number >= settings.early_stop:
                break
    if judge:
        best.restore()
    if not all(each.isfinite().all() for each in learner.state_dict().values()):
        raise Diverged(f"A weight is NaN or infinite after {len(steps)} epochs. Use a smaller lr than {settings.lr:g}.")
    return History(steps=tuple(steps), best=best.number or len(steps))


def _epoch(learner: Learner, train: Lesson, pace: Pace, order: Tensor, batch_size: int) -> dict[str, float]:
    """One pass over all rows; what is left over at the end is a smaller batch."""
    learner.train()
    device = train.target.device
    # Sums stay on the device: asking for a number would wait for it at every step.
    loss_sum, hit_sum, classes = torch.zeros((), device=device), torch.zeros((), device=device), False
    for chosen in order.to(device).split(batch_size):
        target = train.target.index_select(0, chosen)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            raw = learner(train.rows.sequences(chosen))
        weight = None if train.weight is None else train.weight.index_select(0, chosen)
        loss = _weighted(learner.objective.losses(raw, target), weight).mean()
        pace.step(loss if learner.net.penalty is None else loss + learner.net.penalty)
        loss_sum += loss.detach() * len(chosen)
        hits = learner.objective.hits(raw.detach(), target)
        if hits is not None:
            hit_sum, classes = hit_sum + hits.sum(), True
    found = {"train_loss": float(loss_sum) / len(train)}
    return {**found, "train_accuracy": float(hit_sum) / len(train)} if classes else found


def _weighted(losses: Tensor, weight: Tensor | None) -> Tensor:
    return losses if weight is None else losses * weight


def _require_finite(metrics: dict[str, float], number: int, settings: LoopSettings) -> None:
    bad = [name for name, value in metrics.items() if not isfinite(value)]
    if bad:
        raise Diverged(
            f"{bad[0]} became {metrics[bad[0]]} in epoch {number} of {settings.n_epochs}. Use a smaller lr than "
            f"{settings.lr:g}, or a smaller gradient_clip than {settings.gradient_clip:g}."
        )
