"""The Informer (S2-68)."""

from quant_pipelines.models.forecaster import Files, Forecaster
from quant_pipelines.models.kinds.neural import PRED_LEN, SEQ_LEN, loop, whole
from quant_pipelines.models.parameters import Parameter
from quant_pipelines.models.spec import ModelSettings, ModelSpec


def _make(settings: ModelSettings, state: Files | None) -> Forecaster:
    from quant_pipelines.models.neural.forecaster import NeuralForecaster
    from quant_pipelines.models.neural.nets.informer import Informer

    return NeuralForecaster(INFORMER, Informer, settings, state)


INFORMER = ModelSpec(
    name="informer",
    description="Attention to the few positions that matter (ProbSparse), encoder and decoder.",
    make=_make,
    many_outputs=True,
    # S2-61; distil is the paper's.
    parameters_known=(
        *loop(lr=0.0001, n_epochs=100, batch_size=256, early_stop=15, dropout=0.1),
        whole("d_model", 64, "Width of the model."),
        whole("n_heads", 8, "Heads of the attention."),
        whole("e_layers", 2, "Encoder layers.", most=64),
        whole("d_layers", 1, "Decoder layers.", most=64),
        whole("seq_len", 60, SEQ_LEN, most=1000),
        whole("label_len", 30, "Last sessions that the decoder begins with.", least=0, most=1000),
        whole("pred_len", 5, PRED_LEN, most=1000),
        whole("factor", 3, "Queries kept per log of the length.", most=1000),
        Parameter(name="distil", default=True, description="Whether the sequence is halved between encoder layers."),
    ),
    sequence="seq_len",
)
