"""What a net learns: numbers by their squares, classes by their entropy."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from quant_pipelines.models.task import Task


class Numbers(nn.Module):
    """Weighted mean square of targets in standard deviations.

    A day's return is about a hundredth, far smaller than what a fresh net emits. The scale is that of the training
    targets and stays with the weights.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(outputs))
        self.register_buffer("scale", torch.ones(outputs))
        self.centre: Tensor
        self.scale: Tensor

    def measure(self, target: Tensor, weight: Tensor | None) -> None:
        """Learn the scale, in double precision: targets may be large and nearly equal."""
        values = target.double()
        weights = torch.ones(len(values), 1, dtype=torch.double) if weight is None else weight.double()[:, None]
        weights = weights.to(values.device) / weights.sum()
        centre = (weights * values).sum(0)
        scale = (weights * (values - centre).square()).sum(0).sqrt()
        self.centre.copy_(centre)
        self.scale.copy_(torch.where(scale.float() > 0, scale, 1.0))

    def losses(self, raw: Tensor, target: Tensor) -> Tensor:
        return (raw - (target - self.centre) / self.scale).square().mean(1)

    def answer(self, raw: Tensor) -> Tensor:
        return raw * self.scale + self.centre

    def hits(self, raw: Tensor, target: Tensor) -> Tensor | None:
        """Which rows are right: a question for classes."""
        del raw, target


class Classes(nn.Module):
    """Weighted cross-entropy."""

    def measure(self, target: Tensor, weight: Tensor | None) -> None:
        """Nothing to learn: classes have no scale."""

    def losses(self, raw: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(raw, target, reduction="none")

    def answer(self, raw: Tensor) -> Tensor:
        return raw.softmax(1)

    def hits(self, raw: Tensor, target: Tensor) -> Tensor | None:
        return (raw.argmax(1) == target).float()


Objective = Numbers | Classes


def objective_of(task: Task) -> Objective:
    return Numbers(task.outputs) if task.kind == "numbers" else Classes()
