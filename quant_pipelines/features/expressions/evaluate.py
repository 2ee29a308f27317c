"""A tree over a panel. Elementwise steps are float32 as in pyqlib, rolling ones float64, the result float32."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from quant_pipelines.features.expressions.language import Call, Field, Node, Number
from quant_pipelines.features.expressions.operators import OPERATORS, Kind
from quant_pipelines.features.panel import BarPanel
from quant_pipelines.kernels.compiled import Doubles, Rows, Singles

# operator, window, further numbers, offsets, series -> values
Roll = Callable[[str, int, tuple[float, ...], Rows, tuple[Doubles, ...]], Any]


def by_kernels(
    name: str, window: int, numbers: tuple[float, ...], offsets: Rows, series: tuple[Doubles, ...]
) -> Doubles:
    """A rolling operator by its kernel."""
    out = np.empty(series[0].size, np.float64)
    OPERATORS[name].compute(*series, offsets, window, *numbers, out)
    return out


def evaluate(node: Node, panel: BarPanel, *, roll: Roll = by_kernels) -> Singles:
    """The value of the expression on every row of the panel; NaN where it has none, never infinite."""
    with np.errstate(all="ignore"):
        return sealed(_Evaluation(panel, roll).value(node), panel.rows)


def sealed(values: Any, rows: int) -> Singles:
    """As float32 with NaN for infinities and 0 for -0."""
    with np.errstate(over="ignore"):
        out = np.broadcast_to(np.asarray(values), (rows,)).astype(np.float32)
    out[~np.isfinite(out)] = np.nan
    out += np.float32(0)
    return out


class _Evaluation:
    """One walk over a tree; a part that occurs twice is computed once."""

    def __init__(self, panel: BarPanel, roll: Roll) -> None:
        self._panel, self._roll = panel, roll
        self._done: dict[Node, Any] = {}

    def value(self, node: Node) -> Any:
        if isinstance(node, Number):
            return node.value
        if node not in self._done:
            self._done[node] = self._panel.singles(node.name) if isinstance(node, Field) else self._call(node)
        return self._done[node]

    def _call(self, node: Call) -> Any:
        known = OPERATORS[node.operator]
        inputs = tuple(self.value(each) for each in node.series)
        if known.kind is Kind.ELEMENTWISE:
            return known.compute(*inputs)
        window = node.window or 0
        if known.kind is Kind.SHIFT:
            return known.compute(inputs[0], shifted(inputs[0], window, self._panel.offsets))
        doubles = tuple(np.ascontiguousarray(each, np.float64) for each in inputs)
        return self._roll(node.operator, window, node.numbers, self._panel.offsets, doubles)


def shifted(series: Any, sessions: int, offsets: Rows) -> Any:
    """The value `sessions` earlier of the same symbol; NaN before its first session (after its last, if negative)."""
    values = np.asarray(series)
    values = values if values.dtype.kind == "f" else values.astype(np.float64)
    out = np.full_like(values, np.nan)
    for begin, end in pairwise(offsets.tolist()):
        length = max(end - begin - abs(sessions), 0)
        if sessions >= 0:
            out[end - length : end] = values[begin : begin + length]
        else:
            out[begin : begin + length] = values[end - length : end]
    return out
