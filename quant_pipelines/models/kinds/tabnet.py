"""TabNet."""

from quant_pipelines.models.forecaster import Files, Forecaster
from quant_pipelines.models.kinds.neural import loop, whole
from quant_pipelines.models.parameters import Parameter
from quant_pipelines.models.spec import ModelSettings, ModelSpec


def _make(settings: ModelSettings, state: Files | None) -> Forecaster:
    from quant_pipelines.models.neural.forecaster import NeuralForecaster
    from quant_pipelines.models.neural.nets.tabnet import TabNet

    return NeuralForecaster(TABNET, TabNet, settings, state)


TABNET = ModelSpec(
    name="tabnet",
    description="Sequential attention over one session's features.",
    make=_make,
    many_outputs=True,
    # S2-64 names no defaults: the paper's smaller setting.
    parameters_known=(
        *loop(lr=0.02, n_epochs=100, batch_size=1024, early_stop=15, dropout=0.0),
        whole("n_d", 8, "Width of the decision."),
        whole("n_a", 8, "Width of the attention."),
        whole("n_steps", 3, "Decision steps.", most=32),
        whole("n_independent", 2, "Layers of each step alone.", most=16),
        whole("n_shared", 2, "Layers that steps share.", most=16),
        whole("virtual_batch_size", 128, "Rows that are normalised together."),
        Parameter(name="gamma", default=1.3, description="How freely a step may reuse features.", least=1, most=10),
        Parameter(name="sparsity", default=0.001, description="Weight of the masks' entropy.", least=0),
    ),
)
