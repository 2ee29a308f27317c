"""The linear model."""

from quant_pipelines.models.forecaster import Files, Forecaster
from quant_pipelines.models.parameters import Parameter, Range
from quant_pipelines.models.spec import ModelSettings, ModelSpec


def _make(settings: ModelSettings, state: Files | None) -> Forecaster:
    from quant_pipelines.models.linear import Linear

    return Linear(settings, state)


LINEAR = ModelSpec(
    name="linear",
    description="A linear model; ordinary least squares unless told.",
    make=_make,
    takes_any_scale=True,
    trains_in_threads=True,
    many_outputs=False,
    # S2-64: ols; the estimators are those of qlib's LinearModel.
    parameters_known=(
        Parameter(
            name="estimator",
            default="ols",
            description="Least squares, plain (ols), with a penalty, or with weights of 0 and more (nnls).",
            choices=("ols", "ridge", "lasso", "nnls"),
            searched=("ols", "ridge", "lasso", "nnls"),
        ),
        Parameter(
            name="alpha",
            default=1e-5,
            description="The penalty of ridge and lasso.",
            least=0,
            searched=Range(low=1e-8, high=100.0, log=True),
        ),
        Parameter(name="fit_intercept", default=True, description="Whether a constant is added."),
    ),
)
