"""TimesNet (Wu et al. 2023): a series folded by its own periods and read as an image."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from quant_pipelines.models.failures import BadParameter
from quant_pipelines.models.neural.embeddings import SequenceEmbedding
from quant_pipelines.models.neural.net import Net, share, whole
from quant_pipelines.models.spec import ModelSettings

# So many images are convolved at once, filled up where there are fewer: a row's image must not depend on its company.
_IMAGES_AT_ONCE = 32


def periods_of(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(batch x count): each row's strongest periods in sessions, and their amplitudes (S0-22).

    The published code takes the periods of the batch's mean, so that a prediction depends on what it is made with;
    here they are the row's own.
    """
    amplitude = torch.fft.rfft(x.float(), dim=1).abs().mean(-1)
    strength, place = amplitude[:, 1:].topk(count)
    return x.shape[1] // (place + 1), strength


class Inception(nn.Module):
    """The mean of convolutions with kernels of 1, 3, 5 ... places a side.

    A mean of convolutions is the convolution with the mean of their kernels: one pass instead of `num_kernels`.
    Taps that stand beyond the image for every pixel are cut off.
    """

    def __init__(self, width_in: int, width_out: int, num_kernels: int) -> None:
        super().__init__()
        made = [nn.Conv2d(width_in, width_out, 2 * each + 1) for each in range(num_kernels)]
        self.kernels = nn.ParameterList(each.weight for each in made)
        self.biases = nn.ParameterList(each.bias for each in made)

    def merged(self) -> tuple[Tensor, Tensor]:
        """The mean kernel and the mean bias."""
        reach = len(self.kernels) - 1
        padded = [functional.pad(kernel, (reach - at,) * 4) for at, kernel in enumerate(self.kernels)]
        return torch.stack(padded).mean(0), torch.stack(list(self.biases)).mean(0)

    @staticmethod
    def convolved(image: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        reach = kernel.shape[-1] // 2
        down, across = (min(reach, size - 1) for size in image.shape[2:])
        cut = kernel[:, :, reach - down : reach + down + 1, reach - across : reach + across + 1]
        return functional.conv2d(image, cut, bias, padding=(down, across))

    def forward(self, image: Tensor) -> Tensor:
        return self.convolved(image, *self.merged())


class TimesBlock(nn.Module):
    """Folds each row by its periods, reads the images, and adds them by their amplitudes."""

    def __init__(self, d_model: int, d_ff: int, num_kernels: int, top_k: int) -> None:
        super().__init__()
        self.top_k = top_k
        self.widen, self.narrow = Inception(d_model, d_ff, num_kernels), Inception(d_ff, d_model, num_kernels)

    def forward(self, x: Tensor) -> Tensor:
        periods, strength = periods_of(x, self.top_k)
        share_of = strength.softmax(1).to(x.dtype)
        kernels = self.widen.merged(), self.narrow.merged()
        total = x
        for place in range(self.top_k):
            total = total + self._by_period(x, periods[:, place], kernels) * share_of[:, place, None, None]
        return total

    def _by_period(self, x: Tensor, periods: Tensor, kernels: tuple[tuple[Tensor, Tensor], ...]) -> Tensor:
        """Rows of equal period are read together, so many at a time."""
        order, made = list[Tensor](), list[Tensor]()
        for period in periods.unique().tolist():
            for chosen in (periods == period).nonzero().flatten().split(_IMAGES_AT_ONCE):
                order.append(chosen)
                filled = functional.pad(x[chosen], (0, 0, 0, 0, 0, _IMAGES_AT_ONCE - len(chosen)))
                made.append(_read(filled, int(period), kernels)[: len(chosen)])
        return torch.cat(made)[torch.cat(order).argsort()]


def _read(x: Tensor, period: int, kernels: tuple[tuple[Tensor, Tensor], ...]) -> Tensor:
    length = x.shape[1]
    folded = functional.pad(x, (0, 0, 0, -length % period)).transpose(1, 2).unflatten(2, (-1, period))
    (widen, wide_bias), (narrow, narrow_bias) = kernels
    image = functional.gelu(Inception.convolved(folded, widen, wide_bias))
    return Inception.convolved(image, narrow, narrow_bias).flatten(2)[:, :, :length].transpose(1, 2)


class TimesNet(Net):
    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        d_model, length, top_k = whole(settings, "d_model"), settings.length, whole(settings, "top_k")
        if top_k > length // 2:
            raise BadParameter(f"top_k is {top_k}, but {length} sessions have {length // 2} periods. Lower it.")
        self.embed = SequenceEmbedding(len(settings.columns), d_model, length, share(settings, "dropout"))
        self.blocks = nn.ModuleList(
            TimesBlock(d_model, whole(settings, "d_ff"), whole(settings, "num_kernels"), top_k)
            for _ in range(whole(settings, "e_layers"))
        )
        self.norm = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(share(settings, "dropout"))
        self.out = nn.Linear(length * d_model, settings.task.outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for block in self.blocks:
            x = self.norm(block(x))
        return self.out(self.dropout(functional.gelu(x)).flatten(1))
