"""TabNet (Arik and Pfister 2020): decision steps that each choose which columns to look at."""

from math import sqrt

import torch
from torch import Tensor, nn

from quant_pipelines.models.neural.layers import GhostBatchNorm, sparsemax
from quant_pipelines.models.neural.net import Net, share, whole
from quant_pipelines.models.spec import ModelSettings

_LEAST = 1e-10


class FeatureTransformer(nn.Module):
    """Gated layers: linear ones that steps share, then its own, each with its own normalisation.

    Half of a layer is the gate of the other half. Each but the first is added to what it was given; the factor keeps
    the variance.
    """

    def __init__(self, own: list[nn.Linear], shared: int, width: int, virtual_batch_size: int) -> None:
        super().__init__()
        self.own = nn.ModuleList(own)
        self.norms = nn.ModuleList(GhostBatchNorm(2 * width, virtual_batch_size) for _ in range(shared + len(own)))

    def forward(self, x: Tensor, shared: nn.ModuleList) -> Tensor:
        for place, (linear, norm) in enumerate(zip([*shared, *self.own], self.norms, strict=True)):
            value, gate = norm(linear(x)).chunk(2, -1)
            made = value * gate.sigmoid()
            x = (x + made) * sqrt(0.5) if place else made
        return x


class AttentiveTransformer(nn.Module):
    """Which columns the next step looks at, given how far each was used."""

    def __init__(self, n_a: int, columns: int, virtual_batch_size: int) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(n_a, columns, bias=False), GhostBatchNorm(columns, virtual_batch_size)

    def forward(self, read: Tensor, prior: Tensor) -> Tensor:
        # In float32: bf16 rounds the sums by which a column is in or out.
        return sparsemax(self.norm(self.linear(read)).float() * prior)


class TabNet(Net):
    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        columns, size = len(settings.columns), whole(settings, "virtual_batch_size")
        self.n_d, n_a, steps = whole(settings, "n_d"), whole(settings, "n_a"), whole(settings, "n_steps")
        self.gamma, self.sparsity = share(settings, "gamma"), share(settings, "sparsity")
        self.norm = GhostBatchNorm(columns, size)
        width = self.n_d + n_a
        shared, own = whole(settings, "n_shared"), whole(settings, "n_independent")
        self.shared = nn.ModuleList(_gates(columns if not at else width, width) for at in range(shared))
        # One more than steps: the first only tells where to look.
        self.read = nn.ModuleList(
            FeatureTransformer([_gates(width, width) for _ in range(own)], shared, width, size)
            for _ in range(steps + 1)
        )
        self.attend = nn.ModuleList(AttentiveTransformer(n_a, columns, size) for _ in range(steps))
        self.dropout = nn.Dropout(share(settings, "dropout"))
        self.out = nn.Linear(self.n_d, settings.task.outputs, bias=False)
        self.importance = torch.zeros(columns)

    def forward(self, x: Tensor) -> Tensor:
        masks, decisions = self._steps(x[:, -1])
        entropy = -(masks * (masks + _LEAST).log()).sum(-1).mean()
        self.penalty = self.sparsity * entropy if self.training else None
        return self.out(self.dropout(decisions.sum(0)))

    def attended(self, sequences: Tensor) -> Tensor:
        """Masks, each step by how much it decided."""
        masks, decisions = self._steps(sequences[:, -1])
        return (masks * decisions.sum(-1, keepdim=True)).sum(0)

    def _steps(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """(steps x batch x columns) masks and (steps x batch x n_d) decisions."""
        x = self.norm(columns)
        prior, read = torch.ones_like(x), self.read[0](x, self.shared)
        masks, decisions = list[Tensor](), list[Tensor]()
        for attend, transform in zip(self.attend, list(self.read)[1:], strict=True):
            mask = attend(read[:, self.n_d :], prior)
            prior = prior * (self.gamma - mask)
            read = transform(mask * x, self.shared)
            masks.append(mask)
            decisions.append(read[:, : self.n_d].relu())
        return torch.stack(masks), torch.stack(decisions)


def _gates(width_in: int, width: int) -> nn.Linear:
    """To twice the width, half of it for the gates."""
    return nn.Linear(width_in, 2 * width, bias=False)
