"""A net with what it learns: everything that is kept of a training."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from quant_pipelines.models.neural.net import Net
from quant_pipelines.models.neural.objectives import Objective
from quant_pipelines.models.neural.rows import Rows


class Learner(nn.Module):
    """One module, so that one state has the weights and the scale of the target."""

    def __init__(self, net: Net, objective: Objective) -> None:
        super().__init__()
        self.net = net
        self.objective = objective

    def forward(self, sequences: Tensor) -> Tensor:
        return self.net(sequences).float()

    @torch.inference_mode()
    def raw(self, rows: Rows) -> Tensor:
        """What the net emits for all rows, in batches of one size, without dropout."""
        self.eval()
        return torch.cat([self(batch) for batch in rows.equal_batches()])[: len(rows)]

    @torch.inference_mode()
    def answers(self, raw: Tensor) -> NDArray[np.float32]:
        return self.objective.answer(raw).cpu().numpy()

    @torch.inference_mode()
    def weigh_columns(self, rows: Rows) -> None:
        """Let a net that knows what it reads learn how much each column counts, from these rows."""
        if self.net.importance is None:
            return
        self.eval()
        attended = torch.cat([self.net.attended(batch) for batch in rows.equal_batches()])[: len(rows)]
        total = attended.double().sum(0)
        self.net.importance.copy_(total / total.sum().clamp_min(1e-30))
