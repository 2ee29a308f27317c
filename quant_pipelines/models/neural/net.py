"""What the forecaster asks of a net beyond its forward pass."""

from torch import Tensor, nn

from quant_pipelines.models.failures import BadParameter
from quant_pipelines.models.spec import ModelSettings


class Net(nn.Module):
    """(batch x length x columns) to (batch x outputs), made from a model's settings."""

    # What the last forward pass in training adds to the loss; None: nothing.
    penalty: Tensor | None = None
    # How much each column counts, learned after the training and kept with the weights; None: it does not know.
    importance: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("importance", None)

    def attended(self, sequences: Tensor) -> Tensor:
        """(batch x columns): how much each row read each column. Only of nets that have an importance."""
        raise NotImplementedError(f"{type(self).__name__} does not know what it reads.")


def whole(settings: ModelSettings, name: str) -> int:
    return int(settings.parameters[name])


def share(settings: ModelSettings, name: str) -> float:
    return float(settings.parameters[name])


def heads_of(settings: ModelSettings) -> int:
    """How many heads, each an equal part of the width."""
    width, heads = whole(settings, "d_model"), whole(settings, "n_heads")
    if width % heads:
        raise BadParameter(f"d_model is {width}, which {heads} heads cannot share. Use a multiple of n_heads.")
    return heads
