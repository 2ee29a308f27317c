"""The feed-forward net."""

from quant_pipelines.models.forecaster import Files, Forecaster
from quant_pipelines.models.kinds.neural import loop, whole
from quant_pipelines.models.spec import ModelSettings, ModelSpec


def _make(settings: ModelSettings, state: Files | None) -> Forecaster:
    from quant_pipelines.models.neural.forecaster import NeuralForecaster
    from quant_pipelines.models.neural.nets.mlp import FeedForwardNet

    return NeuralForecaster(MLP, FeedForwardNet, settings, state)


MLP = ModelSpec(
    name="mlp",
    description="A feed-forward net on one session's features.",
    make=_make,
    many_outputs=True,
    # S2-58.
    parameters_known=(
        *loop(lr=0.001, n_epochs=200, batch_size=2000, early_stop=20, dropout=0.1),
        whole("hidden_size", 512, "Units of the hidden layer."),
    ),
)
