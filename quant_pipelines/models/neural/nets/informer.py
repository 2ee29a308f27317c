"""The Informer (Zhou et al. 2021): sparse attention, distilling, and a decoder that answers in one pass."""

from torch import Tensor, nn
from torch.nn import functional

from quant_pipelines.models.failures import BadParameter
from quant_pipelines.models.neural.attention import FullAttention, MultiHead, ProbSparseAttention
from quant_pipelines.models.neural.embeddings import SequenceEmbedding
from quant_pipelines.models.neural.layers import FeedForward
from quant_pipelines.models.neural.net import Net, heads_of, share, whole
from quant_pipelines.models.spec import ModelSettings

# The paper's width of the feed-forward layers, in widths of the model.
_WIDER = 4


class Residual(nn.Module):
    """Adds what a part made to what it was given, and normalises."""

    def __init__(self, d_model: int, dropout: float) -> None:
        super().__init__()
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(d_model)

    def forward(self, x: Tensor, made: Tensor) -> Tensor:
        return self.norm(x + self.dropout(made))


class EncoderLayer(nn.Module):
    def __init__(self, d_model: int, n_heads: int, factor: int, dropout: float) -> None:
        super().__init__()
        self.attend = MultiHead(ProbSparseAttention(factor), d_model, n_heads)
        self.feed = FeedForward(d_model, _WIDER * d_model, dropout)
        self.attended, self.fed = Residual(d_model, dropout), Residual(d_model, dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attended(x, self.attend(x, x))
        return self.fed(x, self.feed(x))


class Distil(nn.Module):
    """Halves a sequence: a convolution around the ends, and the larger of neighbours. One session stays as it is."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.mix = nn.Conv1d(d_model, d_model, 3, padding=1, padding_mode="circular")
        self.norm = nn.BatchNorm1d(d_model)
        self.pool = nn.MaxPool1d(3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] == 1:
            return x
        return self.pool(functional.elu(self.norm(self.mix(x.transpose(1, 2))))).transpose(1, 2)


class DecoderLayer(nn.Module):
    def __init__(self, d_model: int, n_heads: int, factor: int, dropout: float) -> None:
        super().__init__()
        self.attend = MultiHead(ProbSparseAttention(factor, causal=True), d_model, n_heads)
        self.ask = MultiHead(FullAttention(), d_model, n_heads)
        self.feed = FeedForward(d_model, _WIDER * d_model, dropout)
        self.attended, self.asked, self.fed = (Residual(d_model, dropout) for _ in range(3))

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        x = self.attended(x, self.attend(x, x))
        x = self.asked(x, self.ask(x, memory))
        return self.fed(x, self.feed(x))


class Informer(Net):
    """The decoder begins with the last `label_len` sessions; empty places after them become the answer.

    Numbers have one place each; classes are one answer at one place.
    """

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        outputs, columns = settings.task.outputs, len(settings.columns)
        self.label_len = whole(settings, "label_len")
        if self.label_len > settings.length:
            raise BadParameter(f"label_len is {self.label_len}, but a window has {settings.length} sessions.")
        self.places = outputs if settings.task.kind == "numbers" else 1
        d_model, dropout = whole(settings, "d_model"), share(settings, "dropout")
        shape = (d_model, heads_of(settings), whole(settings, "factor"), dropout)
        self.embed = SequenceEmbedding(columns, d_model, settings.length, dropout)
        self.embed_start = SequenceEmbedding(columns, d_model, self.label_len + self.places, dropout)
        self.encoder = nn.ModuleList(EncoderLayer(*shape) for _ in range(whole(settings, "e_layers")))
        # Between layers, not after the last.
        count = len(self.encoder) - 1 if settings.parameters["distil"] else 0
        self.distils = nn.ModuleList(Distil(d_model) for _ in range(count))
        self.decoder = nn.ModuleList(DecoderLayer(*shape) for _ in range(whole(settings, "d_layers")))
        self.norm_memory, self.norm_answer = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.out = nn.Linear(d_model, outputs // self.places)

    def forward(self, x: Tensor) -> Tensor:
        memory = self.embed(x)
        for place, layer in enumerate(self.encoder):
            memory = layer(memory)
            if place < len(self.distils):
                memory = self.distils[place](memory)
        memory = self.norm_memory(memory)
        started = x[:, x.shape[1] - self.label_len :]
        answer = self.embed_start(functional.pad(started, (0, 0, 0, self.places)))
        for layer in self.decoder:
            answer = layer(answer, memory)
        return self.out(self.norm_answer(answer[:, -self.places :])).flatten(1)
