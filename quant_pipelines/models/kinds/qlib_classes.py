"""Models of pyqlib by class path (S2-14, X-08): those allowed, with their own parameters and defaults, and the others.

Allowed is what can be kept without a pickle and needs nothing but examples. Nets see `step_len` sessions, which is ours
to cut; the width of the data, the seed, the device and the loss are set by the system and are no parameters.
"""

from quant_pipelines.models.forecaster import Files, Forecaster
from quant_pipelines.models.parameters import Parameter, Range, Searched, Value
from quant_pipelines.models.spec import ModelSettings, ModelSpec

PACKAGE = "qlib.contrib.model."
STEP_LEN = "step_len"


def _make_native(settings: ModelSettings, state: Files | None) -> Forecaster:
    from quant_pipelines.models.pyqlib.native import QlibNative

    return QlibNative(settings, state)


def _make_net(settings: ModelSettings, state: Files | None) -> Forecaster:
    from quant_pipelines.models.pyqlib.nets import QlibNet

    return QlibNet(settings, state)


_KNOWN: dict[str, tuple[str, float | None, Searched | None]] = {
    "hidden_size": ("Units of a layer.", 1, (32, 64, 128)),
    "num_layers": ("Layers.", 1, (1, 2, 3)),
    "n_chans": ("Channels of a layer.", 1, (32, 64, 128)),
    "kernel_size": ("Sessions of a kernel.", 1, None),
    "d_model": ("Width of the model.", 1, (32, 64, 128)),
    "nhead": ("Heads of the attention.", 1, None),
    "dropout": ("Share of values dropped in training.", 0, Range(low=0.0, high=0.5)),
    "n_epochs": ("Most epochs.", 1, None),
    "lr": ("Learning rate.", 0, Range(low=1e-5, high=1e-2, log=True)),
    "batch_size": ("Rows of one step; fewer where there are fewer rows.", 1, None),
    "early_stop": ("Stop after so many epochs without gain.", 1, None),
    "reg": ("Pull of the weights towards zero.", 0, None),
}
_OPTIMIZER = "optimizer"
_RNN = {"hidden_size": 64, "num_layers": 2, "dropout": 0.0}
_RNN_LOOP = {"n_epochs": 200, "lr": 0.001, "batch_size": 2000, "early_stop": 20, _OPTIMIZER: "adam"}
_ATTENTION = {
    "d_model": 64, "nhead": 2, "num_layers": 2, "dropout": 0.0, "n_epochs": 100, "lr": 0.0001, "batch_size": 2048,
    "early_stop": 5, _OPTIMIZER: "adam", "reg": 0.001,
}  # fmt: skip
_CONVOLUTION = {"n_chans": 128, "kernel_size": 5, "num_layers": 5, "dropout": 0.5, **_RNN_LOOP, "lr": 0.0001}


def _row(name: str, default: Value) -> Parameter:
    if name == _OPTIMIZER:
        return Parameter(name=name, default=default, description="How weights are moved.", choices=("adam", "gd"))
    description, least, searched = _KNOWN[name]
    return Parameter(name=name, default=default, description=description, least=least, searched=searched)


def _net(path: str, description: str, values: dict[str, Value]) -> ModelSpec:
    cut = Parameter(name=STEP_LEN, default=20, description="Sessions that one prediction sees.", least=1, most=1000)
    return ModelSpec(
        name=PACKAGE + path,
        description=description,
        make=_make_net,
        parameters_known=(*(_row(name, default) for name, default in values.items()), cut),
        sequence=STEP_LEN,
    )


_STOPPING = (
    Parameter(name="num_boost_round", default=1000, description="Most trees.", least=1, most=100_000),
    Parameter(name="early_stopping_rounds", default=50, description="Stop after so many trees without gain.", least=1),
)
_SPECS = (
    # Open: what else is given goes to the library of the maker.
    ModelSpec(
        name=f"{PACKAGE}gbdt.LGBModel",
        description="pyqlib's LightGBM. `lightgbm` is the same library, stoppable at every tree.",
        make=_make_native,
        parameters_known=_STOPPING,
        is_open=True,
        takes_missing=True,
        takes_any_scale=True,
    ),
    ModelSpec(
        name=f"{PACKAGE}xgboost.XGBModel",
        description="pyqlib's XGBoost; it predicts with all trees, those after the best one too.",
        make=_make_native,
        parameters_known=_STOPPING,
        is_open=True,
        takes_missing=True,
        takes_any_scale=True,
    ),
    ModelSpec(
        name=f"{PACKAGE}linear.LinearModel",
        description="pyqlib's linear model, without a constant unless told.",
        make=_make_native,
        parameters_known=(
            Parameter(
                name="estimator",
                default="ols",
                description="Least squares, plain or with a penalty.",
                choices=("ols", "ridge", "lasso", "nnls"),
            ),
            Parameter(name="alpha", default=0.0, description="The penalty of ridge and lasso.", least=0),
            Parameter(name="fit_intercept", default=False, description="Whether a constant is added."),
        ),
        takes_any_scale=True,
    ),
    _net("pytorch_gru.GRU", "pyqlib's gated recurrent net.", {**_RNN, **_RNN_LOOP}),
    _net("pytorch_lstm.LSTM", "pyqlib's recurrent net.", {**_RNN, **_RNN_LOOP}),
    _net("pytorch_alstm.ALSTM", "pyqlib's recurrent net with attention over its sessions.", {**_RNN, **_RNN_LOOP}),
    _net("pytorch_tcn.TCN", "pyqlib's temporal convolutions.", _CONVOLUTION),
    _net("pytorch_transformer.TransformerModel", "pyqlib's self-attention.", _ATTENTION),
    _net("pytorch_localformer.LocalformerModel", "pyqlib's self-attention with local convolutions.", _ATTENTION),
)
QLIB_CLASSES = {each.name: each for each in _SPECS}

_BY_BATCH = "it reads a sampler of pyqlib's, not rows; the class without _ts is the same net on our sequences"
_OTHER_DATA = "it needs files or groups of stocks beside the examples"
REFUSED = {
    "catboost_model.CatBoostModel": "its library is not installed; use lightgbm or xgboost",
    "double_ensemble.DEnsembleModel": "its state is several boosters and weights, which only a pickle would hold",
    "highfreq_gdbt_model.HFLGBModel": "it does not run on pandas 3; use lightgbm",
    "pytorch_nn.DNNModelPytorch": "it does not run on today's PyTorch; use mlp",
    "pytorch_tabnet.TabnetModel": "it exchanges its net while it learns; use tabnet",
    "pytorch_general_nn.GeneralPTNN": "it takes any class of a net by name, which is somebody's code",
    **dict.fromkeys(
        (
            "pytorch_alstm_ts.ALSTM",
            "pytorch_gats_ts.GATs",
            "pytorch_gru_ts.GRU",
            "pytorch_localformer_ts.LocalformerModel",
            "pytorch_lstm_ts.LSTM",
            "pytorch_tcn_ts.TCN",
            "pytorch_transformer_ts.TransformerModel",
        ),
        _BY_BATCH,
    ),
    **dict.fromkeys(
        (
            "pytorch_adarnn.ADARNN",
            "pytorch_add.ADD",
            "pytorch_gats.GATs",
            "pytorch_hist.HIST",
            "pytorch_igmtf.IGMTF",
            "pytorch_tcts.TCTS",
            "pytorch_tra.TRAModel",
        ),
        _OTHER_DATA,
    ),
}


def refusal_of(name: str) -> str | None:
    """Why a class of pyqlib is not allowed; None where the name is none of its classes."""
    if not name.startswith(PACKAGE):
        return None
    reason = REFUSED.get(name.removeprefix(PACKAGE), "nobody has looked at it yet")
    return f"{name} is not allowed: {reason}. Allowed are {', '.join(QLIB_CLASSES)}"
