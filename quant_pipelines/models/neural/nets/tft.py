"""The Temporal Fusion Transformer (Lim et al. 2019) of what was observed: nothing static, nothing known ahead."""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from quant_pipelines.models.neural.attention import FullAttention
from quant_pipelines.models.neural.net import Net, heads_of, share, whole
from quant_pipelines.models.spec import ModelSettings

# On the CPU so many rows are read at once: what becomes of 158 columns then stays in the cache. To train with all 5120
# of a batch in one go took 1.6 times as long.
_ROWS_AT_ONCE = 256


class ColumnLinear(nn.Module):
    """A linear layer for each column, all in one product: (columns x rows x width)."""

    # An output's row of a tensor (columns x in x out) lies along it, also where it is one value, as of a bias.
    input_axis = 1

    def __init__(self, columns: int, width_in: int, width: int) -> None:
        super().__init__()
        bound = 1 / sqrt(width_in)
        self.weight = nn.Parameter(torch.empty(columns, width_in, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(columns, 1, width).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class ColumnNorm(nn.Module):
    """A normalisation for each column, of (columns x rows x width)."""

    # As above: each output has one value.
    input_axis = 1

    def __init__(self, columns: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(columns, 1, width))
        self.bias = nn.Parameter(torch.zeros(columns, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.bias, functional.layer_norm(x, x.shape[-1:]), self.weight)


class GatedSkip(nn.Module):
    """Adds to what it was given what was made of it, as far as a gate lets that through, and normalises."""

    def __init__(self, width_made: int, width: int, dropout: float, columns: int | None = None) -> None:
        super().__init__()
        self.dropout, self.gate = nn.Dropout(dropout), _linear(width_made, 2 * width, columns)
        self.norm = nn.LayerNorm(width) if columns is None else ColumnNorm(columns, width)

    def forward(self, given: Tensor, made: Tensor) -> Tensor:
        return self.norm(given + functional.glu(self.gate(self.dropout(made)), -1))


class GatedResidual(nn.Module):
    """A small net that its gate can leave out; with `columns`, one for each of them."""

    def __init__(self, width_in: int, hidden: int, width: int, dropout: float, columns: int | None = None) -> None:
        super().__init__()
        self.first, self.second = _linear(width_in, hidden, columns), _linear(hidden, hidden, columns)
        self.skip = nn.Identity() if width_in == width else _linear(width_in, width, columns)
        self.add = GatedSkip(hidden, width, dropout, columns)

    def forward(self, x: Tensor) -> Tensor:
        return self.add(self.skip(x), self.second(functional.elu(self.first(x))))


class VariableSelection(nn.Module):
    """(rows x width) of (rows x columns): what nets made of the columns, each by how far its row chose it.

    The published nets read a vector of each number, made by a linear layer, and begin with a linear layer themselves.
    Both are one here, so no vectors are made.
    """

    def __init__(self, columns: int, width: int, dropout: float) -> None:
        super().__init__()
        self.choose = GatedResidual(columns, width, columns, dropout)
        self.read = GatedResidual(1, width, width, dropout, columns)

    def weights(self, x: Tensor) -> Tensor:
        """(... x columns): how far each column is chosen, 1 in all."""
        return self.choose(x).softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        parts = x.split(_ROWS_AT_ONCE) if x.device.type == "cpu" else (x,)
        return torch.cat([self._chosen(part) for part in parts])

    def _chosen(self, x: Tensor) -> Tensor:
        return torch.einsum("rc,crw->rw", self.weights(x), self.read(x.t().unsqueeze(-1)))


class InterpretableAttention(nn.Module):
    """Each session reads those up to itself. Heads differ in where they look, not in what they see there."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads, self.attend = n_heads, FullAttention(causal=True)
        self.query, self.key = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model // n_heads)
        self.out = nn.Linear(d_model // n_heads, d_model)

    def forward(self, x: Tensor) -> Tensor:
        queries, keys = (each(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for each in (self.query, self.key))
        values = self.value(x).unsqueeze(1).expand(-1, self.n_heads, -1, -1)
        return self.out(self.attend(queries, keys, values).mean(1))


class TemporalFusionTransformer(Net):
    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        columns, width, dropout = len(settings.columns), whole(settings, "d_model"), share(settings, "dropout")
        layers = whole(settings, "num_layers")
        self.select = VariableSelection(columns, width, dropout)
        # Dropout stands between layers, so one layer has none.
        self.rnn = nn.LSTM(width, width, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.attend = InterpretableAttention(width, heads_of(settings))
        self.feed = GatedResidual(width, width, width, dropout)
        self.remembered, self.looked, self.fed = (GatedSkip(width, width, dropout) for _ in range(3))
        self.out = nn.Linear(width, settings.task.outputs)
        self.importance = torch.zeros(columns)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.states(x)[:, -1])

    def states(self, x: Tensor) -> Tensor:
        """(batch x length x width): each session, with what it knows of those before it."""
        chosen = self.select(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        known = self.remembered(chosen, self.rnn(chosen)[0])
        return self.fed(known, self.feed(self.looked(known, self.attend(known))))

    def attended(self, sequences: Tensor) -> Tensor:
        """How far each column was chosen, in the mean of the sessions."""
        return self.select.weights(sequences).mean(1)


def _linear(width_in: int, width: int, columns: int | None) -> nn.Module:
    return nn.Linear(width_in, width) if columns is None else ColumnLinear(columns, width_in, width)
