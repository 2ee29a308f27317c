"""How a window of sessions becomes a sequence of vectors, shared by all nets that attend."""

import torch
from torch import Tensor, nn

from quant_pipelines.models.failures import BadParameter

# S2-67.
MOST_POSITIONS = 1000
# Small against an embedded feature, which is about 1: a place colours what stands there.
_SPREAD = 0.02


class PositionalEncoding(nn.Module):
    """Adds to each place of a sequence what the net has learned of that place."""

    def __init__(self, d_model: int, length: int) -> None:
        super().__init__()
        if length > MOST_POSITIONS:
            raise BadParameter(f"A sequence has {length} places, but there are {MOST_POSITIONS}. Use fewer sessions.")
        self.places = nn.Parameter(torch.empty(MOST_POSITIONS, d_model))
        nn.init.normal_(self.places, std=_SPREAD)

    def forward(self, sequence: Tensor) -> Tensor:
        return sequence + self.places[: sequence.shape[1]]


class SequenceEmbedding(nn.Module):
    """Each session's columns (or each patch's values) as a vector, told its place."""

    def __init__(self, columns: int, d_model: int, length: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.project = nn.Linear(columns, d_model)
        self.positions = PositionalEncoding(d_model, length)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.positions(self.project(x)))
