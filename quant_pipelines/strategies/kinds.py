"""The kinds of models by name, with the hyper-parameters that they start from. Data; the models come elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = bool | int | float | str
Values = Mapping[str, Value]

DEFAULT = "default"
# Names of the system before ours (S2-81): the same kinds.
ALIAS_PREFIX = "qlib_"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelKind:
    """One kind. `defaults` are every hyper-parameter it knows; where `is_open`, only the model itself knows them all.

    `sequence` is how many sessions one prediction sees: a number, or the hyper-parameter that says so.
    `needs_label_set` is the only label set it can learn, None: any.
    """

    name: str
    description: str
    defaults: Values
    presets: Mapping[str, Values] = field(default_factory=dict[str, Values])
    sequence: int | str = 1
    is_open: bool = False
    needs_label_set: str | None = None
    ladder: tuple[int, ...] = (10, 30, 100)

    @property
    def preset_names(self) -> tuple[str, ...]:
        return (DEFAULT, *self.presets)

    def parameters(self, preset: str, chosen: Values) -> dict[str, Value]:
        """The user's values over the preset's over the defaults (S2-25)."""
        return {**self.defaults, **self.presets.get(preset, {}), **chosen}


_ADAM_200: Values = {"lr": 0.001, "n_epochs": 200}

_KINDS = (
    ModelKind(
        name="lightgbm",
        description="Gradient-boosted trees, grown leaf by leaf.",
        # Every hyper-parameter that a preset names is known; the defaults are LightGBM's own where S2-56 is silent.
        defaults={
            "objective": "regression", "num_leaves": 210, "learning_rate": 0.05, "feature_fraction": 0.85,
            "bagging_fraction": 0.85, "bagging_freq": 5, "min_child_samples": 20, "num_boost_round": 1000,
            "early_stopping_rounds": 50, "max_depth": -1, "lambda_l1": 0.0, "lambda_l2": 0.0,
        },
        # S2-76; colsample_bytree is feature_fraction, subsample is bagging_fraction, mse is regression.
        presets={
            "lightgbm_alpha158": {
                "feature_fraction": 0.8879, "learning_rate": 0.0421, "bagging_fraction": 0.8789,
                "lambda_l1": 205.6999, "lambda_l2": 580.9768, "max_depth": 8, "num_leaves": 210,
            }
        },
    ),
    ModelKind(
        name="xgboost",
        description="Gradient-boosted trees, grown level by level.",
        defaults={
            "objective": "reg:squarederror", "max_depth": 6, "learning_rate": 0.05, "subsample": 0.85,
            "colsample_bytree": 0.85, "n_estimators": 1000, "early_stopping_rounds": 50,
        },
    ),
    ModelKind(
        name="linear",
        description="A linear model; ordinary least squares unless told.",
        defaults={"estimator": "ols"},
        is_open=True,
    ),
    ModelKind(
        name="mlp",
        description="A feed-forward net on one session's features.",
        defaults={
            **_ADAM_200, "batch_size": 2000, "early_stop": 20, "optimizer": "adam", "hidden_size": 512, "dropout": 0.1
        },
    ),
    ModelKind(
        name="lstm",
        description="A recurrent net on the last sessions.",
        defaults={
            **_ADAM_200, "batch_size": 800, "early_stop": 20, "hidden_size": 64, "num_layers": 2, "dropout": 0.1,
            "lookback": 20,
        },
        sequence="lookback",
    ),
    ModelKind(
        name="transformer",
        description="Self-attention over the last sessions.",
        defaults={
            "lr": 0.0001, "n_epochs": 100, "batch_size": 512, "early_stop": 15, "d_model": 64, "n_heads": 8,
            "num_layers": 3, "dropout": 0.1, "seq_len": 20, "pred_len": 5,
        },
        sequence="seq_len",
    ),
    ModelKind(
        name="informer",
        description="Attention to the few positions that matter (ProbSparse), encoder and decoder.",
        defaults={
            "lr": 0.0001, "n_epochs": 100, "batch_size": 256, "early_stop": 15, "d_model": 64, "n_heads": 8,
            "e_layers": 2, "d_layers": 1, "dropout": 0.1, "seq_len": 60, "label_len": 30, "pred_len": 5, "factor": 3,
        },
        sequence="seq_len",
    ),
    ModelKind(
        name="timesnet",
        description="Periods found by Fourier transform, read as images.",
        defaults={
            "lr": 0.001, "n_epochs": 100, "batch_size": 256, "early_stop": 15, "d_model": 64, "num_kernels": 6,
            "dropout": 0.1, "seq_len": 20, "pred_len": 5,
        },
        sequence="seq_len",
    ),
    ModelKind(
        name="patchtst",
        description="Attention over patches of each feature's series.",
        defaults={
            "lr": 0.001, "n_epochs": 100, "batch_size": 256, "early_stop": 15, "d_model": 64, "patch_len": 16,
            "stride": 8, "dropout": 0.1, "seq_len": 96, "pred_len": 5,
        },
        sequence="seq_len",
    ),
    ModelKind(
        name="tabnet",
        description="Sequential attention over one session's features.",
        defaults={},
        is_open=True,
    ),
    ModelKind(
        name="lstm_dual_head",
        description="A recurrent net for one symbol that tells the direction and the returns of the next 5 sessions.",
        # The pipeline's numbers (S3-11, X-16) over those of S3-43.
        defaults={
            "lr": 0.0005, "epochs": 50, "hidden_size": 128, "batch_size": 32, "enhanced": True,
            "reg_loss_type": "full", "weight_decay": 0.01, "gradient_clip": 1.0, "patience": 20, "minimum_lr": 1e-5,
            "t_0": 50, "t_mult": 2, "augmentation": True, "noise_std": 0.01, "scale_low": 0.98, "scale_high": 1.02,
            "weight_cls": 1.0, "weight_reg": 1.0,
        },
        presets={"basic": {"enhanced": False, "hidden_size": 64}},
        sequence=60,
        needs_label_set="dual",
        ladder=(100,),
    ),
)  # fmt: skip

MODEL_KINDS = {each.name: each for each in _KINDS}


def kind_named(name: str) -> ModelKind | None:
    """The kind, also by its old name with `qlib_` before it."""
    return MODEL_KINDS.get(name.removeprefix(ALIAS_PREFIX))
