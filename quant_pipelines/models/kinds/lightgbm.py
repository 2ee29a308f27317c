"""LightGBM."""

from quant_pipelines.models.forecaster import Files, Forecaster
from quant_pipelines.models.parameters import Parameter, Range
from quant_pipelines.models.spec import ModelSettings, ModelSpec


def _make(settings: ModelSettings, state: Files | None) -> Forecaster:
    from quant_pipelines.models.boosters.lightgbm import LightGBM

    return LightGBM(settings, state)


# Steps, not a range: nought has no logarithm, and it is the default.
PENALTIES = (0.0, 0.1, 1.0, 10.0, 100.0, 1000.0)

LIGHTGBM = ModelSpec(
    name="lightgbm",
    description="Gradient-boosted trees, grown leaf by leaf.",
    make=_make,
    takes_missing=True,
    takes_any_scale=True,
    trains_in_threads=True,
    # S2-56; LightGBM's own defaults where that is silent.
    parameters_known=(
        Parameter(
            name="objective",
            default="regression",
            description="What is minimised over the rows.",
            choices=("regression", "regression_l1", "huber", "fair"),
        ),
        Parameter(
            name="num_leaves",
            default=210,
            description="Leaves of one tree.",
            least=2,
            most=131_072,
            searched=Range(low=8, high=512, log=True),
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
            name="feature_fraction",
            default=0.85,
            description="Share of the features a tree may use.",
            above=0,
            most=1,
            searched=Range(low=0.4, high=1.0),
        ),
        Parameter(
            name="bagging_fraction",
            default=0.85,
            description="Share of the rows a tree learns from.",
            above=0,
            most=1,
            searched=Range(low=0.4, high=1.0),
        ),
        Parameter(name="bagging_freq", default=5, description="Draw the rows anew every so many trees.", least=0),
        Parameter(
            name="min_child_samples",
            default=20,
            description="Fewest rows of a leaf.",
            least=1,
            searched=Range(low=5, high=500, log=True),
        ),
        Parameter(name="num_boost_round", default=1000, description="Most trees.", least=1, most=100_000),
        Parameter(
            name="early_stopping_rounds", default=50, description="Stop after so many trees without gain.", least=1
        ),
        Parameter(name="max_depth", default=-1, description="Deepest tree; -1: any depth.", least=-1),
        Parameter(name="lambda_l1", default=0.0, description="L1 penalty on leaf values.", least=0, searched=PENALTIES),
        Parameter(name="lambda_l2", default=0.0, description="L2 penalty on leaf values.", least=0, searched=PENALTIES),
    ),
    # S2-76; colsample_bytree is feature_fraction, subsample is bagging_fraction, mse is regression.
    presets={
        "lightgbm_alpha158": {
            "feature_fraction": 0.8879,
            "learning_rate": 0.0421,
            "bagging_fraction": 0.8789,
            "lambda_l1": 205.6999,
            "lambda_l2": 580.9768,
            "max_depth": 8,
            "num_leaves": 210,
        }
    },
)
