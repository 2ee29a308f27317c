"""The temporal convolutional network (Bai, Kolter and Koltun 2018)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from quant_pipelines.models.neural.net import Net, share, whole
from quant_pipelines.models.spec import ModelSettings

# The published spread of the weights beside the convolutions. Those of the convolutions keep PyTorch's: the published
# code draws them too, and normalisation puts them back before the first step.
_SPREAD = 0.01


class CausalConvolution(nn.Module):
    """Reads each place and those before it, with nothing before the first; each channel's kernel has a learned length.

    Taps that stand before the first place for every place are cut off.
    """

    def __init__(self, width_in: int, width: int, kernel_size: int) -> None:
        super().__init__()
        made = nn.Conv1d(width_in, width, kernel_size)
        self.direction, self.bias = made.weight, made.bias
        self.length = nn.Parameter(self._norm().detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.direction * (self.length / self._norm())[:, None, None]
        taps = min(kernel.shape[-1], x.shape[-1])
        return functional.conv1d(functional.pad(x, (taps - 1, 0)), kernel[:, :, -taps:], self.bias)

    def _norm(self) -> Tensor:
        return torch.linalg.vector_norm(self.direction, dim=(1, 2))


class TemporalBlock(nn.Module):
    """Two convolutions, added to what they were given."""

    def __init__(self, width_in: int, width: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.first = CausalConvolution(width_in, width, kernel_size)
        self.second = CausalConvolution(width, width, kernel_size)
        self.dropout = nn.Dropout(dropout)
        self.skip = nn.Identity() if width_in == width else nn.Conv1d(width_in, width, 1)
        if isinstance(self.skip, nn.Conv1d):
            nn.init.normal_(self.skip.weight, std=_SPREAD)

    def forward(self, x: Tensor) -> Tensor:
        made = self.dropout(self.first(x).relu())
        made = self.dropout(self.second(made).relu())
        return (self.skip(x) + made).relu()


def every_other(x: Tensor) -> Tensor:
    """Every other place, the last one included."""
    return x[..., (x.shape[-1] - 1) % 2 :: 2]


class TemporalConvolutions(Net):
    """Block b, from 0, reads places 2**b apart.

    The answer is the last session's, which hangs on every 2**b-th place before it alone. So instead of holes in the
    kernel, places between are left out, and each block has half the work of the one before it.
    """

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        width = whole(settings, "n_chans")
        shape = (width, whole(settings, "kernel_size"), share(settings, "dropout"))
        self.blocks = nn.ModuleList(
            TemporalBlock(width if at else len(settings.columns), *shape) for at in range(whole(settings, "num_layers"))
        )
        self.out = nn.Linear(width, settings.task.outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        for place, block in enumerate(self.blocks):
            x = block(every_other(x) if place else x)
        return self.out(x[:, :, -1])
