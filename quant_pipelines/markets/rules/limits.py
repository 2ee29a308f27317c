"""Daily price limits, exact: an exchange rounds in decimal, and binary fractions do not."""

from decimal import Decimal
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

BASIS_POINTS = 10_000
# How far a reference may lie from the tick grid, in ticks, and still be a price that binary fractions have blurred.
_OFF_GRID = 1e-4


class Banded(Protocol):
    """What a limit needs to know of a rule."""

    @property
    def band(self) -> Decimal | None: ...

    @property
    def tick(self) -> Decimal: ...


class Limits(NamedTuple):
    """The lowest and the highest price of a session; NaN where there is none, or none can be known."""

    down: Floats
    up: Floats


def limit_prices(previous_close: npt.ArrayLike, rule: Banded) -> Limits:
    """round-half-up(previous_close x (1 -+ band), tick), equal to decimal arithmetic bit for bit.

    1.25 at 10 % gives 1.13 and 1.38, where binary floats give 1.12. A reference that is missing, not
    positive or not on the tick is no exchange's reference price: its limits are NaN.
    """
    reference = np.asarray(previous_close, dtype=np.float64)
    if rule.band is None:
        return Limits(np.full(reference.shape, np.nan), np.full(reference.shape, np.nan))
    return limits_in_prices(reference, np.array(int(rule.band * BASIS_POINTS)), int(1 / rule.tick))


def limits_in_prices(reference: Floats, band: Integers, ticks_per_unit: int) -> Limits:
    """The same with a band, in basis points, for each reference."""
    in_ticks = np.where(np.isfinite(reference), reference, 0.0) * ticks_per_unit
    ticks = np.rint(in_ticks)
    known = (ticks > 0) & (np.abs(in_ticks - ticks) < _OFF_GRID)
    down, up = limit_ticks(np.where(known, ticks, 0.0).astype(np.int64), band)
    return Limits(np.where(known, down / ticks_per_unit, np.nan), np.where(known, up / ticks_per_unit, np.nan))


def limit_ticks(reference: Integers, band: Integers) -> tuple[Integers, Integers]:
    """The same in whole ticks: integers round half up without a doubt."""
    twice = 2 * BASIS_POINTS
    down = (reference * (BASIS_POINTS - band) * 2 + BASIS_POINTS) // twice
    return down, (reference * (BASIS_POINTS + band) * 2 + BASIS_POINTS) // twice
