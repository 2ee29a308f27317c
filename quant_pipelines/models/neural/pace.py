"""How weights move: the optimizer, the clipping of gradients, and the learning rate over the epochs."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from quant_pipelines.models.parameters import Values

# S2-58..S2-63 name no such numbers; these are the customary ones.
_MOMENTUM = 0.9
_PLATEAU_FACTOR, _PLATEAU_EPOCHS = 0.5, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """The hyper-parameters that all nets share."""

    lr: float
    n_epochs: int
    batch_size: int
    early_stop: int
    optimizer: str
    weight_decay: float
    gradient_clip: float
    scheduler: str

    @classmethod
    def of(cls, parameters: Values) -> Self:
        return cls(
            lr=float(parameters["lr"]),
            n_epochs=int(parameters["n_epochs"]),
            batch_size=int(parameters["batch_size"]),
            early_stop=int(parameters["early_stop"]),
            optimizer=str(parameters["optimizer"]),
            weight_decay=float(parameters["weight_decay"]),
            gradient_clip=float(parameters["gradient_clip"]),
            scheduler=str(parameters["scheduler"]),
        )


class Pace:
    """Moves the weights of one training."""

    def __init__(self, net: nn.Module, settings: LoopSettings) -> None:
        self._weights = [each for each in net.parameters() if each.requires_grad]
        self._clip = settings.gradient_clip
        self._optimizer = _optimizer(self._weights, settings)
        self._scheduler = _scheduler(self._optimizer, settings)

    @property
    def lr(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    def step(self, loss: Tensor) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        # By value, as pyqlib's nets do it: no gradient of one weight is larger.
        nn.utils.clip_grad_value_(self._weights, self._clip)
        self._optimizer.step()

    def rest(self, loss: float) -> None:
        """An epoch is over, with this loss of the rows that it is judged by."""
        if isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.step(loss)
        elif self._scheduler is not None:
            self._scheduler.step()


def _optimizer(weights: list[nn.Parameter], settings: LoopSettings) -> torch.optim.Optimizer:
    lr, decay = settings.lr, settings.weight_decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(weights, lr=lr, weight_decay=decay, momentum=_MOMENTUM)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(weights, lr=lr, weight_decay=decay, fused=True)


def _scheduler(
    optimizer: torch.optim.Optimizer, settings: LoopSettings
) -> ReduceLROnPlateau | CosineAnnealingLR | None:
    if settings.scheduler == "plateau":
        return ReduceLROnPlateau(optimizer, factor=_PLATEAU_FACTOR, patience=_PLATEAU_EPOCHS)
    if settings.scheduler == "cosine":
        return CosineAnnealingLR(optimizer, T_max=settings.n_epochs)
    return None
