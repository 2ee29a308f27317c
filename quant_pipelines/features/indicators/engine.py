"""All indicators over a panel, from each symbol's whole history without its missing sessions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from inspect import unwrap
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.features.indicators.catalogue import INDICATORS, History, Indicator, Window
from quant_pipelines.features.panel import BarPanel, Bars
from quant_pipelines.kernels.compiled import Doubles
from quant_pipelines.kernels.moving import put, squeeze

LONGEST_WINDOW = 2_520


class IndicatorsRefused(OperatorActionRequired):
    """The settings name no indicator or no window."""

    code: ClassVar[str] = "QP254"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorSettings:
    """How many sessions make a year of this market, and windows other than the usual ones.

    `windows={"rsi": ((6,), (14,))}` computes the RSI twice; an indicator that is not named keeps its usual windows.
    """

    sessions_per_year: float
    windows: Mapping[str, tuple[Window, ...]] = field(default_factory=dict[str, tuple[Window, ...]])

    def __post_init__(self) -> None:
        if not self.sessions_per_year > 0:
            raise IndicatorsRefused(f"sessions_per_year is {self.sessions_per_year}. Give the market's, such as 243.")
        usual = {each.name: each.windows[0] for each in INDICATORS}
        for name, windows in self.windows.items():
            if name not in usual:
                raise IndicatorsRefused(f"There is no indicator {name!r}. Choose among {', '.join(usual)}.")
            for window in windows:
                if len(window) != len(usual[name]) or any(not 1 <= each <= LONGEST_WINDOW for each in window):
                    raise IndicatorsRefused(
                        f"Window {window} does not fit {name}: it takes {len(usual[name])} whole numbers of sessions, "
                        f"1 to {LONGEST_WINDOW}, as in {usual[name]}."
                    )

    def chosen(self) -> tuple[tuple[Indicator, Window], ...]:
        """Every indicator with every window asked for."""
        return tuple((each, window) for each in INDICATORS for window in self.windows.get(each.name, each.windows))

    def names(self) -> tuple[str, ...]:
        """The columns, in order."""
        return tuple(name for indicator, window in self.chosen() for name in indicator.named(window))


def compute(panel: BarPanel, settings: IndicatorSettings, *, out: Doubles | None = None) -> Doubles:
    """One row per column of `settings.names()`; NaN on sessions without a complete bar and before the first value.

    `out` reuses memory, C-contiguous.
    """
    shape = (len(settings.names()), panel.rows)
    out = np.empty(shape) if out is None else out
    if out.shape != shape or out.dtype != np.float64 or not out.flags.c_contiguous:
        raise ValueError(f"out is {out.dtype} {out.shape}; it must be C-contiguous float64 {shape}.")
    chosen = settings.chosen()
    for begin, end in zip(panel.offsets[:-1], panel.offsets[1:], strict=True):
        _fill(panel.values[:, begin:end], chosen, settings.sessions_per_year, out[:, begin:end])
    return out


@cache
def ta_lib() -> SimpleNamespace:
    """TA-Lib's functions of arrays, without the wrapper that looks for frames of pandas and polars at every call."""
    # Imported here: it brings both along, which a process that only draws the graph does not need.
    import talib

    library: Any = talib
    return SimpleNamespace(**{name: unwrap(getattr(library, name)) for name in library.get_functions()})


def _fill(bars: Bars, chosen: tuple[tuple[Indicator, Window], ...], sessions_per_year: float, out: Doubles) -> None:
    """One symbol, without the sessions that lack a value.

    An interior NaN would poison some of TA-Lib's functions to the end and pass silently through others.
    """
    kept = np.array(bars, np.float64, order="C")
    places, runs = (np.empty(bars.shape[1] + more, np.int64) for more in (0, 1))
    count, stretches = squeeze(kept, places, runs)
    if count == 0:
        out[:] = np.nan
        return
    traded, runs = places[:count], runs[: stretches + 1]
    past = History(*kept[:, :count], sessions_per_year=sessions_per_year)
    row = 0
    for indicator, window in chosen:
        for values in indicator.compute(ta_lib(), past, window):
            put(values, traded, runs, out[row])
            row += 1
