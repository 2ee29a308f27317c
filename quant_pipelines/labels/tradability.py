"""Whether a signal could have been filled: it is made at a close, and filled at the next open."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.labels.grid import PriceGrid, State
from quant_pipelines.labels.venue import Mask, Venue

# Limits take several numbers per cell while they are made; a year of a large market at once is plenty.
_SESSIONS_AT_ONCE = 250


class Obstacle(IntEnum):
    """What stood against a fill, in either direction or both."""

    NONE = 0
    NO_BAR = State.NO_BAR
    SUSPENDED = State.SUSPENDED
    QUARANTINED = State.QUARANTINED
    DELISTED = 4
    NO_OPEN = 5
    LIMIT_UNKNOWN = 6
    LIMIT_UP = 7
    LIMIT_DOWN = 8


@dataclass(frozen=True, eq=False, kw_only=True)
class Tradability:
    """One row per signal session, for the open after it. Where the fill is `unknown`, neither flag means anything."""

    buyable: Mask
    sellable: Mask
    unknown: Mask
    obstacle: NDArray[np.int8]


def tradability(grid: PriceGrid, venue: Venue) -> Tradability:
    """At an open at the upper limit one can sell and not buy, at the lower one buy and not sell.

    The day's close decides nothing, and neither does its limit flag.
    """
    following = slice(1, None)
    opens, state = grid.prices["open"][following], grid.state[following]
    at_upper, at_lower, no_limits_known = _at_limits(grid, venue)
    ended = np.arange(1, len(grid.sessions))[:, None] > venue.last_places(grid.symbols, grid.labels)[None, :]
    traded = (state == State.TRADED) & ~ended
    unknown = traded & (np.isnan(opens) | no_limits_known)
    obstacle = np.select(
        [ended, ~traded, np.isnan(opens), no_limits_known, at_upper, at_lower],
        [np.int8(Obstacle.DELISTED), state, *map(np.int8, _AT_OPEN)],
        default=np.int8(Obstacle.NONE),
    )
    return Tradability(buyable=traded & ~at_upper, sellable=traded & ~at_lower, unknown=unknown, obstacle=obstacle)


_AT_OPEN = (Obstacle.NO_OPEN, Obstacle.LIMIT_UNKNOWN, Obstacle.LIMIT_UP, Obstacle.LIMIT_DOWN)


def _at_limits(grid: PriceGrid, venue: Venue) -> tuple[Mask, Mask, Mask]:
    """Whether each open after a signal was at the upper limit, at the lower, or had limits nobody knows."""
    shape = max(len(grid.sessions) - 1, 0), len(grid.symbols)
    at_upper, at_lower, unknown = (np.zeros(shape, bool) for _ in range(3))
    for first in range(1, len(grid.sessions), _SESSIONS_AT_ONCE):
        rows, out = slice(first, first + _SESSIONS_AT_ONCE), slice(first - 1, first - 1 + _SESSIONS_AT_ONCE)
        limits, unheard_of = venue.limits(grid.sessions[rows], grid.symbols, grid.prices["previous_close"][rows])
        opens = grid.prices["open"][rows]
        at_upper[out] = opens >= limits.up
        at_lower[out] = opens <= limits.down
        unknown[out] = unheard_of
    return at_upper, at_lower, unknown
