"""The feed-forward net: one hidden layer on the last session."""

from torch import Tensor, nn

from quant_pipelines.models.neural.net import Net, share, whole
from quant_pipelines.models.spec import ModelSettings


class FeedForwardNet(Net):
    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        hidden = whole(settings, "hidden_size")
        self.layers = nn.Sequential(
            nn.Linear(len(settings.columns), hidden),
            nn.ReLU(),
            nn.Dropout(share(settings, "dropout")),
            nn.Linear(hidden, settings.task.outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x[:, -1])
