"""The words of the language: what each operator takes and which kernel computes it. Meanings are pyqlib's."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from quant_pipelines.kernels import rolling


class Kind(StrEnum):
    """How an operator treats its arguments."""

    ELEMENTWISE = "elementwise"
    SHIFT = "shift"
    ROLLING = "rolling"
    PAIR = "pair"
    ENDLESS = "endless"


@dataclass(frozen=True, slots=True)
class Operator:
    """`series` leading arguments are expressions; then, but for elementwise ones, a window; then `numbers` more."""

    kind: Kind
    series: int
    compute: Callable[..., Any]
    numbers: int = 0

    @property
    def arity(self) -> int:
        return self.series + (self.kind is not Kind.ELEMENTWISE) + self.numbers


def _sign(x: Any) -> Any:
    return np.sign(np.asarray(x, np.float32))


def _earlier(_now: Any, before: Any) -> Any:
    return before


def _elementwise(series: int, compute: Callable[..., Any]) -> Operator:
    return Operator(Kind.ELEMENTWISE, series, compute)


def _rolling(compute: Callable[..., Any], numbers: int = 0) -> Operator:
    return Operator(Kind.ROLLING, 1, compute, numbers)


def _median(series: Any, offsets: Any, length: int, out: Any) -> None:
    rolling.rolling_quantile(series, offsets, length, 0.5, out)


OPERATORS = {
    "Add": _elementwise(2, np.add),
    "Sub": _elementwise(2, np.subtract),
    "Mul": _elementwise(2, np.multiply),
    "Div": _elementwise(2, np.divide),
    "Power": _elementwise(2, np.power),
    "Greater": _elementwise(2, np.maximum),
    "Less": _elementwise(2, np.minimum),
    "Gt": _elementwise(2, np.greater),
    "Ge": _elementwise(2, np.greater_equal),
    "Lt": _elementwise(2, np.less),
    "Le": _elementwise(2, np.less_equal),
    "Eq": _elementwise(2, np.equal),
    "Ne": _elementwise(2, np.not_equal),
    "And": _elementwise(2, np.logical_and),
    "Or": _elementwise(2, np.logical_or),
    "Not": _elementwise(1, np.logical_not),
    "If": _elementwise(3, np.where),
    "Abs": _elementwise(1, np.abs),
    "Sign": _elementwise(1, _sign),
    "Log": _elementwise(1, np.log),
    "Ref": Operator(Kind.SHIFT, 1, _earlier),
    "Delta": Operator(Kind.SHIFT, 1, np.subtract),
    "Mean": _rolling(rolling.rolling_mean),
    "Sum": _rolling(rolling.rolling_sum),
    "Std": _rolling(rolling.rolling_std),
    "Var": _rolling(rolling.rolling_var),
    "Skew": _rolling(rolling.rolling_skew),
    "Kurt": _rolling(rolling.rolling_kurt),
    "Max": _rolling(rolling.rolling_max),
    "Min": _rolling(rolling.rolling_min),
    "IdxMax": _rolling(rolling.rolling_argmax),
    "IdxMin": _rolling(rolling.rolling_argmin),
    "Med": _rolling(_median),
    "Mad": _rolling(rolling.rolling_mad),
    "Rank": _rolling(rolling.rolling_rank),
    "Count": _rolling(rolling.rolling_count),
    "Slope": _rolling(rolling.rolling_slope),
    "Rsquare": _rolling(rolling.rolling_rsquare),
    "Resi": _rolling(rolling.rolling_resi),
    "WMA": _rolling(rolling.rolling_wma),
    "Quantile": _rolling(rolling.rolling_quantile, numbers=1),
    "Corr": Operator(Kind.PAIR, 2, rolling.rolling_corr),
    "Cov": Operator(Kind.PAIR, 2, rolling.rolling_cov),
    "EMA": Operator(Kind.ENDLESS, 1, rolling.ewm_mean),
}
