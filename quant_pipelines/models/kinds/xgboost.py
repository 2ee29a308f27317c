"""XGBoost."""

from quant_pipelines.models.forecaster import Files, Forecaster
from quant_pipelines.models.parameters import Parameter, Range
from quant_pipelines.models.spec import ModelSettings, ModelSpec


def _make(settings: ModelSettings, state: Files | None) -> Forecaster:
    from quant_pipelines.models.boosters.xgboost import XGBoost

    return XGBoost(settings, state)


XGBOOST = ModelSpec(
    name="xgboost",
    description="Gradient-boosted trees, grown level by level.",
    make=_make,
    takes_missing=True,
    takes_any_scale=True,
    trains_in_threads=True,
    # S2-57.
    parameters_known=(
        Parameter(
            name="objective",
            default="reg:squarederror",
            description="What is minimised over the rows.",
            choices=("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"),
        ),
        Parameter(
            name="max_depth", default=6, description="Deepest tree.", least=1, most=64, searched=Range(low=3, high=10)
        ),
        Parameter(
            name="learning_rate",
            default=0.05,
            description="Weight of each new tree.",
            above=0,
            most=1,
            searched=Range(low=0.01, high=0.2, log=True),
        ),
        Parameter(
            name="subsample",
            default=0.85,
            description="Share of the rows of a tree.",
            above=0,
            most=1,
            searched=Range(low=0.4, high=1.0),
        ),
        Parameter(
            name="colsample_bytree",
            default=0.85,
            description="Share of the features of a tree.",
            above=0,
            most=1,
            searched=Range(low=0.4, high=1.0),
        ),
        Parameter(name="n_estimators", default=1000, description="Most trees.", least=1, most=100_000),
        Parameter(
            name="early_stopping_rounds", default=50, description="Stop after so many trees without gain.", least=1
        ),
        Parameter(
            name="reg_alpha",
            default=0.0,
            description="L1 penalty on leaf values.",
            least=0,
            searched=(0.0, 0.1, 1.0, 10.0, 100.0),
        ),
        Parameter(
            name="reg_lambda",
            default=1.0,
            description="L2 penalty on leaf values.",
            least=0,
            searched=Range(low=0.1, high=1000.0, log=True),
        ),
    ),
)
