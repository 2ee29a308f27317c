"""The Transformer (S2-67)."""

from quant_pipelines.models.forecaster import Files, Forecaster
from quant_pipelines.models.kinds.neural import PRED_LEN, SEQ_LEN, loop, whole
from quant_pipelines.models.spec import ModelSettings, ModelSpec


def _make(settings: ModelSettings, state: Files | None) -> Forecaster:
    from quant_pipelines.models.neural.forecaster import NeuralForecaster
    from quant_pipelines.models.neural.nets.transformer import Transformer

    return NeuralForecaster(TRANSFORMER, Transformer, settings, state)


TRANSFORMER = ModelSpec(
    name="transformer",
    description="Self-attention over the last sessions.",
    make=_make,
    many_outputs=True,
    # S2-60.
    parameters_known=(
        *loop(lr=0.0001, n_epochs=100, batch_size=512, early_stop=15, dropout=0.1),
        whole("d_model", 64, "Width of the model."),
        whole("n_heads", 8, "Heads of the attention."),
        whole("num_layers", 3, "Encoder layers.", most=64),
        whole("seq_len", 20, SEQ_LEN, most=1000),
        whole("pred_len", 5, PRED_LEN, most=1000),
    ),
    sequence="seq_len",
)
