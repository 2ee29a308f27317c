"""The allowed classes, imported one by one: a name from a file never decides what is imported."""

from collections.abc import Callable
from typing import Any


def _lightgbm() -> Any:
    from qlib.contrib.model.gbdt import LGBModel

    return LGBModel


def _xgboost() -> Any:
    from qlib.contrib.model.xgboost import XGBModel

    return XGBModel


def _linear() -> Any:
    from qlib.contrib.model.linear import LinearModel

    return LinearModel


def _gru() -> Any:
    from qlib.contrib.model.pytorch_gru import GRU

    return GRU


def _lstm() -> Any:
    from qlib.contrib.model.pytorch_lstm import LSTM

    return LSTM


def _alstm() -> Any:
    from qlib.contrib.model.pytorch_alstm import ALSTM

    return ALSTM


def _tcn() -> Any:
    from qlib.contrib.model.pytorch_tcn import TCN

    return TCN


def _transformer() -> Any:
    from qlib.contrib.model.pytorch_transformer import TransformerModel

    return TransformerModel


def _localformer() -> Any:
    from qlib.contrib.model.pytorch_localformer import LocalformerModel

    return LocalformerModel


_CLASSES: dict[str, Callable[[], Any]] = {
    "gbdt.LGBModel": _lightgbm,
    "xgboost.XGBModel": _xgboost,
    "linear.LinearModel": _linear,
    "pytorch_gru.GRU": _gru,
    "pytorch_lstm.LSTM": _lstm,
    "pytorch_alstm.ALSTM": _alstm,
    "pytorch_tcn.TCN": _tcn,
    "pytorch_transformer.TransformerModel": _transformer,
    "pytorch_localformer.LocalformerModel": _localformer,
}
# The attribute that holds the net.
MODULES = {
    "pytorch_gru.GRU": "gru_model",
    "pytorch_lstm.LSTM": "lstm_model",
    "pytorch_alstm.ALSTM": "ALSTM_model",
    "pytorch_tcn.TCN": "tcn_model",
    "pytorch_transformer.TransformerModel": "model",
    "pytorch_localformer.LocalformerModel": "model",
}


def class_of(path: str) -> Any:
    """The class of an allowed path below qlib.contrib.model."""
    return _CLASSES[path]()
