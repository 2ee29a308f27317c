"""Proof that the past does not change when the future arrives, on data and bit by bit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.features.panel import BarPanel

# One row per feature, one column per row of the panel.
Values = NDArray[np.floating[Any]]
Compute = Callable[[BarPanel], Values]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """One value that is another one when computed without what came later."""

    feature: str
    symbol: str
    session: np.datetime64
    cut: np.datetime64
    held: float
    recomputed: float

    def __str__(self) -> str:
        return (
            f"{self.feature} of {self.symbol} on {self.session.astype('datetime64[D]')} is held as {self.held!r}, "
            f"but is {self.recomputed!r} from data up to {self.cut.astype('datetime64[D]')}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Which symbols and cuts to try; the same seed tries the same ones."""

    symbols: int = 50
    cuts: int = 5
    seed: int

    def of(self, panel: BarPanel) -> tuple[BarPanel, list[np.datetime64]]:
        """Some of the panel's symbols and some sessions before its last."""
        rng = np.random.default_rng(self.seed)
        names = rng.permutation(np.array(panel.symbols, dtype=object))[: self.symbols]
        sessions = np.unique(panel.sessions)[:-1]
        cuts = np.sort(rng.permutation(sessions)[: self.cuts])
        return panel.only(set(names.tolist())), list(cuts)


def find_leaks(
    compute: Compute, panel: BarPanel, held: Values, names: Sequence[str], cuts: Sequence[np.datetime64]
) -> Iterator[Leak]:
    """Every held value that changes when the panel ends at one of the cuts.

    `held` is what a table holds for the panel's rows. The features must be functions of one symbol's history.
    """
    held = np.atleast_2d(held)
    for cut in cuts:
        known = panel.until(cut)
        rows = np.flatnonzero(panel.sessions <= cut)
        recomputed = np.atleast_2d(compute(known))
        for feature, row in _differences(recomputed, held[:, rows]):
            at = int(rows[row])
            symbol = int(np.searchsorted(panel.offsets, at, side="right")) - 1
            yield Leak(
                feature=names[feature],
                symbol=panel.symbols[symbol],
                session=np.datetime64(panel.sessions[at], "us"),
                cut=cut,
                held=float(held[feature, at]),
                recomputed=float(recomputed[feature, row]),
            )


def find_longer_reach(compute: Compute, panel: BarPanel, names: Sequence[str], look_back_sessions: int) -> list[str]:
    """The features that read further back than they say: their latest value changes when older rows are cut off."""
    newest = panel.offsets[1:][np.diff(panel.offsets) > 0] - 1
    short = panel.latest(look_back_sessions + 1)
    short_newest = short.offsets[1:][np.diff(short.offsets) > 0] - 1
    whole = np.atleast_2d(compute(panel))[:, newest]
    apart = _differences(np.atleast_2d(compute(short))[:, short_newest], whole)
    return sorted({names[feature] for feature, _row in apart})


def _differences(new: Values, old: Values) -> list[tuple[int, int]]:
    """(row, column) of the values whose bits differ; NaN is NaN whatever its bits."""
    same = (new == old) & (np.signbit(new) == np.signbit(old))
    rows, columns = np.nonzero(~(same | (np.isnan(new) & np.isnan(old))))
    return list(zip(rows.tolist(), columns.tolist(), strict=True))
