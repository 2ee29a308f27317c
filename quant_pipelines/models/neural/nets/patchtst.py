"""PatchTST (Nie et al. 2023): each column's series alone, cut into patches that attend to each other."""

import torch
from torch import Tensor, nn

from quant_pipelines.models.failures import BadParameter
from quant_pipelines.models.neural.embeddings import SequenceEmbedding
from quant_pipelines.models.neural.net import Net, heads_of, share, whole
from quant_pipelines.models.spec import ModelSettings

# As published: the feed-forward layers are twice as wide as the model.
_WIDER = 2
_LEAST_VARIANCE = 1e-5


def patches_of(series: Tensor, size: int, stride: int) -> Tensor:
    """(... x patches x size) of (... x length), by unfold (S0-21). What fits no patch is left out at the old end."""
    return series[..., (series.shape[-1] - size) % stride :].unfold(-1, size, stride)


def normalised(series: Tensor) -> Tensor:
    """Each window of each column at mean 0 and variance 1, a constant one at 0."""
    variance, mean = torch.var_mean(series, -1, correction=0, keepdim=True)
    return (series - mean) / (variance + _LEAST_VARIANCE).sqrt()


class PatchTST(Net):
    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.patch_len, self.stride = whole(settings, "patch_len"), whole(settings, "stride")
        if self.patch_len > settings.length:
            raise BadParameter(f"patch_len is {self.patch_len}, but a window has {settings.length} sessions.")
        d_model, dropout = whole(settings, "d_model"), share(settings, "dropout")
        self.patches = (settings.length - self.patch_len) // self.stride + 1
        self.embed = SequenceEmbedding(self.patch_len, d_model, self.patches, dropout)
        layer = nn.TransformerEncoderLayer(
            d_model, heads_of(settings), _WIDER * d_model, dropout, activation="gelu", batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, whole(settings, "num_layers"), enable_nested_tensor=False)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(len(settings.columns) * self.patches * d_model, settings.task.outputs)

    def forward(self, x: Tensor) -> Tensor:
        patches = patches_of(normalised(x.transpose(1, 2)), self.patch_len, self.stride)
        # Columns stand side by side in the batch: the same weights read each of them, and none sees another.
        read = self.encoder(self.embed(patches.flatten(0, 1)))
        return self.out(self.dropout(read.reshape(x.shape[0], -1)))
