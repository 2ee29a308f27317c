"""The temporal convolutional network (S1-84)."""

from quant_pipelines.models.forecaster import Files, Forecaster
from quant_pipelines.models.kinds.neural import SEQ_LEN, loop, whole
from quant_pipelines.models.spec import ModelSettings, ModelSpec


def _make(settings: ModelSettings, state: Files | None) -> Forecaster:
    from quant_pipelines.models.neural.forecaster import NeuralForecaster
    from quant_pipelines.models.neural.nets.tcn import TemporalConvolutions

    return NeuralForecaster(TCN, TemporalConvolutions, settings, state)


TCN = ModelSpec(
    name="tcn",
    description="Causal convolutions, each layer reaching twice as far back.",
    make=_make,
    many_outputs=True,
    # S1-84 names no defaults: those of pyqlib's class.
    parameters_known=(
        *loop(lr=0.0001, n_epochs=200, batch_size=2000, early_stop=20, dropout=0.5),
        whole("n_chans", 128, "Channels of a layer.", searched=(32, 64, 128)),
        whole("kernel_size", 5, "Sessions that one convolution reads.", most=1000, searched=(3, 5, 7)),
        whole("num_layers", 5, "Residual blocks, of two convolutions each.", most=32, searched=(2, 3, 5)),
        whole("seq_len", 20, SEQ_LEN, most=1000),
    ),
    sequence="seq_len",
)
