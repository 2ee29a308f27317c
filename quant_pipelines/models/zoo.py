"""The kinds of models by name. A new kind is one file of `kinds` and one row here."""

from quant_pipelines.models.failures import UnknownModel
from quant_pipelines.models.kinds.informer import INFORMER
from quant_pipelines.models.kinds.lightgbm import LIGHTGBM
from quant_pipelines.models.kinds.linear import LINEAR
from quant_pipelines.models.kinds.lstm import LSTM
from quant_pipelines.models.kinds.lstm_dual_head import LSTM_DUAL_HEAD
from quant_pipelines.models.kinds.mlp import MLP
from quant_pipelines.models.kinds.patchtst import PATCHTST
from quant_pipelines.models.kinds.qlib_classes import QLIB_CLASSES, refusal_of
from quant_pipelines.models.kinds.tabnet import TABNET
from quant_pipelines.models.kinds.tcn import TCN
from quant_pipelines.models.kinds.tft import TFT
from quant_pipelines.models.kinds.timesnet import TIMESNET
from quant_pipelines.models.kinds.transformer import TRANSFORMER
from quant_pipelines.models.kinds.xgboost import XGBOOST
from quant_pipelines.models.spec import ModelSpec

# Names of the system before ours (S2-81): the same kinds.
ALIAS_PREFIX = "qlib_"

MODEL_KINDS = {
    each.name: each
    for each in (
        LIGHTGBM,
        XGBOOST,
        LINEAR,
        MLP,
        LSTM,
        TRANSFORMER,
        INFORMER,
        TIMESNET,
        PATCHTST,
        TABNET,
        TCN,
        TFT,
        LSTM_DUAL_HEAD,
    )
}


def kind_named(name: str) -> ModelSpec | None:
    """The kind, also by its old name with `qlib_` before it, or an allowed class of pyqlib by its path (S2-14)."""
    return QLIB_CLASSES.get(name) or MODEL_KINDS.get(name.removeprefix(ALIAS_PREFIX))


def spec_named(name: str) -> ModelSpec:
    """The kind of this name, or a refusal that names those there are (S2-24)."""
    found = kind_named(name)
    if found is None:
        told = refusal_of(name)
        if told is not None:
            raise UnknownModel(f"{told}.")
        raise UnknownModel(f"There is no model kind {name!r}. There are {', '.join(MODEL_KINDS)}.")
    return found
