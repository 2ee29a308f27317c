"""The recurrent net: its state after the last session, through one linear layer."""

from torch import Tensor, nn

from quant_pipelines.models.neural.net import Net, share, whole
from quant_pipelines.models.neural.recurrence import sequence_of
from quant_pipelines.models.spec import ModelSettings


class RecurrentNet(Net):
    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        hidden, layers = whole(settings, "hidden_size"), whole(settings, "num_layers")
        # Dropout stands between layers, so one layer has none.
        dropout = share(settings, "dropout") if layers > 1 else 0.0
        self.rnn = nn.LSTM(len(settings.columns), hidden, layers, batch_first=True, dropout=dropout)
        self.out = nn.Linear(hidden, settings.task.outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(sequence_of(self.rnn, x)[:, -1])
