"""TimesNet."""

from quant_pipelines.models.forecaster import Files, Forecaster
from quant_pipelines.models.kinds.neural import PRED_LEN, SEQ_LEN, loop, whole
from quant_pipelines.models.spec import ModelSettings, ModelSpec


def _make(settings: ModelSettings, state: Files | None) -> Forecaster:
    from quant_pipelines.models.neural.forecaster import NeuralForecaster
    from quant_pipelines.models.neural.nets.timesnet import TimesNet

    return NeuralForecaster(TIMESNET, TimesNet, settings, state)


TIMESNET = ModelSpec(
    name="timesnet",
    description="Periods found by Fourier transform, read as images.",
    make=_make,
    many_outputs=True,
    # S2-62; e_layers, top_k and d_ff are the paper's.
    parameters_known=(
        *loop(lr=0.001, n_epochs=100, batch_size=256, early_stop=15, dropout=0.1),
        whole("d_model", 64, "Width of the model."),
        whole("num_kernels", 6, "Kernels of the inception block.", most=32),
        whole("seq_len", 20, SEQ_LEN, most=1000),
        whole("pred_len", 5, PRED_LEN, most=1000),
        whole("e_layers", 2, "Blocks.", most=64),
        whole("top_k", 2, "Periods that a block reads.", most=64),
        whole("d_ff", 64, "Width inside a block."),
    ),
    sequence="seq_len",
)
