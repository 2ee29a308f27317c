"""The Temporal Fusion Transformer (S1-84)."""

from quant_pipelines.models.forecaster import Files, Forecaster
from quant_pipelines.models.kinds.neural import SEQ_LEN, loop, whole
from quant_pipelines.models.spec import ModelSettings, ModelSpec


def _make(settings: ModelSettings, state: Files | None) -> Forecaster:
    from quant_pipelines.models.neural.forecaster import NeuralForecaster
    from quant_pipelines.models.neural.nets.tft import TemporalFusionTransformer

    return NeuralForecaster(TFT, TemporalFusionTransformer, settings, state)


TFT = ModelSpec(
    name="tft",
    description="Columns chosen session by session, then memory and attention, all behind gates.",
    make=_make,
    many_outputs=True,
    # S1-84 names no defaults. The paper's widths are for a handful of columns; each has a net of its own here.
    parameters_known=(
        *loop(lr=0.001, n_epochs=100, batch_size=256, early_stop=15, dropout=0.1),
        whole("d_model", 16, "Width of the model.", searched=(8, 16, 32)),
        whole("n_heads", 4, "Heads of the attention."),
        whole("num_layers", 1, "Recurrent layers.", most=64),
        whole("seq_len", 20, SEQ_LEN, most=1000),
    ),
    sequence="seq_len",
)
