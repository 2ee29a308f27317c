"""The recurrent net."""

from quant_pipelines.models.forecaster import Files, Forecaster
from quant_pipelines.models.kinds.neural import loop, whole
from quant_pipelines.models.spec import ModelSettings, ModelSpec


def _make(settings: ModelSettings, state: Files | None) -> Forecaster:
    from quant_pipelines.models.neural.forecaster import NeuralForecaster
    from quant_pipelines.models.neural.nets.lstm import RecurrentNet

    return NeuralForecaster(LSTM, RecurrentNet, settings, state)


LSTM = ModelSpec(
    name="lstm",
    description="A recurrent net on the last sessions.",
    make=_make,
    many_outputs=True,
    # S2-59.
    parameters_known=(
        *loop(lr=0.001, n_epochs=200, batch_size=800, early_stop=20, dropout=0.1),
        whole("hidden_size", 64, "Units of a layer."),
        whole("num_layers", 2, "Layers.", most=64),
        whole("lookback", 20, "Sessions that one prediction sees.", most=2520),
    ),
    sequence="lookback",
)
