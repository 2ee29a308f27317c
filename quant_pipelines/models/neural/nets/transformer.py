"""The Transformer of S2-67: projection, learned positions, encoder layers, and a linear layer on the last step."""

from torch import Tensor, nn

from quant_pipelines.models.neural.embeddings import SequenceEmbedding
from quant_pipelines.models.neural.net import Net, heads_of, share, whole
from quant_pipelines.models.spec import ModelSettings


class Transformer(Net):
    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        d_model = whole(settings, "d_model")
        self.embed = SequenceEmbedding(len(settings.columns), d_model, settings.length)
        layer = nn.TransformerEncoderLayer(
            d_model, heads_of(settings), dropout=share(settings, "dropout"), batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, whole(settings, "num_layers"), enable_nested_tensor=False)
        self.out = nn.Linear(d_model, settings.task.outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.encoder(self.embed(x))[:, -1])
