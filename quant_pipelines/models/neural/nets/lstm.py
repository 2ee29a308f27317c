"""The recurrent net: its state after the last session, through one linear layer."""

from typing import Self

from torch import Tensor, nn

from quant_pipelines.models.neural.net import Net, share, whole
from quant_pipelines.models.neural.recurrence import Tape, last_state
from quant_pipelines.models.spec import ModelSettings


class RecurrentNet(Net):
    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        hidden, layers = whole(settings, "hidden_size"), whole(settings, "num_layers")
        # Dropout stands between layers, so one layer has none.
        dropout = share(settings, "dropout") if layers > 1 else 0.0
        self.rnn = nn.LSTM(len(settings.columns), hidden, layers, batch_first=True, dropout=dropout)
        self.out = nn.Linear(hidden, settings.task.outputs)
        self._tapes: list[Tape] = []

    def train(self, mode: bool = True) -> Self:
        # What is kept for the next batch is let go where none follows.
        if not mode:
            self._tapes.clear()
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.device.type == "cpu":
            return self.out(last_state(self.rnn, x, self._tapes))
        states, _ = self.rnn(x)
        return self.out(states[:, -1])
