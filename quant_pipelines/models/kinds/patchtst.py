"""PatchTST."""

from quant_pipelines.models.forecaster import Files, Forecaster
from quant_pipelines.models.kinds.neural import PRED_LEN, SEQ_LEN, loop, whole
from quant_pipelines.models.spec import ModelSettings, ModelSpec


def _make(settings: ModelSettings, state: Files | None) -> Forecaster:
    from quant_pipelines.models.neural.forecaster import NeuralForecaster
    from quant_pipelines.models.neural.nets.patchtst import PatchTST

    return NeuralForecaster(PATCHTST, PatchTST, settings, state)


PATCHTST = ModelSpec(
    name="patchtst",
    description="Attention over patches of each feature's series.",
    make=_make,
    many_outputs=True,
    # S2-63; n_heads and num_layers as for the Transformer.
    parameters_known=(
        *loop(lr=0.001, n_epochs=100, batch_size=256, early_stop=15, dropout=0.1),
        whole("d_model", 64, "Width of the model."),
        whole("patch_len", 16, "Sessions of a patch.", most=1000),
        whole("stride", 8, "Sessions from one patch to the next.", most=1000),
        whole("seq_len", 96, SEQ_LEN, most=1000),
        whole("pred_len", 5, PRED_LEN, most=1000),
        whole("n_heads", 8, "Heads of the attention."),
        whole("num_layers", 3, "Encoder layers.", most=64),
    ),
    sequence="seq_len",
)
