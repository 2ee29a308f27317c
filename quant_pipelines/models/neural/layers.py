"""Small parts that nets are made of."""

import torch
from torch import Tensor, nn

# Share of a new batch in the running statistics: PyTorch's own; TabNet's paper tunes it by data set.
_MOMENTUM = 0.1


class FeedForward(nn.Sequential):
    """Two linear layers, applied to each place alone."""

    def __init__(self, d_model: int, d_ff: int, dropout: float) -> None:
        super().__init__(nn.Linear(d_model, d_ff), nn.GELU(), nn.Dropout(dropout), nn.Linear(d_ff, d_model))


class GhostBatchNorm(nn.Module):
    """Batch normalisation over parts of a batch, in prediction by what was seen in training.

    A batch is cut into equal parts of at most `size` rows. A part of one row has no spread: it is normalised as in
    prediction.
    """

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.norm = nn.BatchNorm1d(width, momentum=_MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.shape[0] == 1:
            return nn.functional.batch_norm(
                x, self.norm.running_mean, self.norm.running_var, self.norm.weight, self.norm.bias, eps=self.norm.eps
            )
        parts = -(-x.shape[0] // self.size)
        return torch.cat([self.norm(part) for part in x.tensor_split(parts)]) if parts > 1 else self.norm(x)


def sparsemax(scores: Tensor) -> Tensor:
    """The point of the simplex nearest to the scores (Martins and Astudillo 2016), along the last axis."""
    ordered = scores.sort(descending=True).values
    rank = torch.arange(1, scores.shape[-1] + 1, device=scores.device, dtype=scores.dtype)
    excess = ordered.cumsum(-1) - 1
    support = (rank * ordered > excess).sum(-1, keepdim=True)
    threshold = excess.gather(-1, support - 1) / support
    return (scores - threshold).clamp_min(0)
