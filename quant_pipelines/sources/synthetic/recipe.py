"""What the made-up market is made of. Change a number and every bar changes: raise VERSION with it."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from quant_pipelines.sources.synthetic.chance import Floats, normals, uniforms

VERSION = 1

# Sessions that are drawn together. Even, for the normal numbers; small, for memory at thousands of symbols.
BLOCK = 64
TICKS_PER_UNIT = 100
LOT = 100

# The planted signal. A symbol's expected return in the next session is EDGE x (MA20 - 1) / STD20 in the names
# of Alpha158: how many standard deviations the adjusted close lies below its mean of 20 sessions.
SIGNAL_SESSIONS = 20
EDGE = 0.0008

MARKET_VOLATILITY = 0.0088
SECTOR_VOLATILITY = 0.0055
DAILY_PREMIUM = 0.0002
# Log-volatility is autoregressive; hence clusters that last for weeks.
MEMORY = 0.975
MARKET_HEAT = 0.11
HEAT = 0.10
JUMP_CHANCE = 0.02
JUMP_SIZE = 4.0
NEW_LISTING_SESSIONS = 5
FIRST_SESSION_SIZE = 4.0
FIRST_SESSIONS_SIZE = 2.0

# Chances per day.
IPO_CHANCE = 1 / 500
DELISTING_CHANCE = 1 / 25_000
SUSPENSION_CHANCE = 1 / 250
RESUMPTION_CHANCE = 1 / 6
# One symbol in so many is listed later than the market begins.
LATE_EVERY = 8
# Below one unit of currency for so many traded sessions, a stock is delisted, as in Shanghai and Shenzhen.
PENNY_TICKS = 100
PENNY_SESSIONS = 20

DIVIDEND_SESSIONS = 244
DIVIDEND_CHANCE = 0.7
DIVIDEND_YIELD = (0.005, 0.025)
# Above these prices the yearly payment comes with bonus shares: 3, 5 or 10 for 10.
BONUS_TICKS = (2_000, 3_500, 6_000)
BONUS_TENTHS = (3, 5, 10)

CROWD_MEMORY = 0.9
CROWD = 0.2
CROWD_HEAT = 0.7
CROWD_MOVE = 0.3
LARGEST_MOVE = 4.0


class Stream(IntEnum):
    """Independent sources of chance."""

    CHARACTER = 0
    MARKET = 1
    SHOCK = 2
    JUMP = 3
    HEAT = 4
    GAP = 5
    HIGH = 6
    LOW = 7
    CROWD = 8
    FATE = 9
    CORPORATE = 10


@dataclass(frozen=True, slots=True)
class Character:
    """What a symbol is born with."""

    volatility: Floats
    beta: Floats
    issue_ticks: npt.NDArray[np.int64]
    log_amount: Floats
    dividend_phase: npt.NDArray[np.int64]
    sector: npt.NDArray[np.int64]
    is_late: npt.NDArray[np.bool_]


def characters(seed: int, symbols: int, sectors: int) -> Character:
    draws = uniforms(seed, Stream.CHARACTER, 0, (symbols, 5)).T
    place = np.arange(symbols)
    return Character(
        volatility=0.0085 + 0.006 * draws[0],
        beta=0.6 + 0.8 * draws[1],
        issue_ticks=np.floor(TICKS_PER_UNIT * 6.0 * 8.0 ** draws[2]).astype(np.int64),
        log_amount=np.log(2e7) + np.log(30.0) * draws[3],
        dividend_phase=np.floor(DIVIDEND_SESSIONS * draws[4]).astype(np.int64),
        # Boards repeat every five places; the second term keeps a sector from becoming a board.
        sector=(place + place // 5) % sectors,
        is_late=place % LATE_EVERY == LATE_EVERY - 1,
    )


@dataclass(frozen=True, slots=True)
class Draws:
    """All the chance of one block: sessions x symbols, and sessions alone for the market's own."""

    market: Floats
    market_heat: Floats
    sectors: Floats
    shock: Floats
    heat: Floats
    gap: Floats
    high: Floats
    low: Floats
    crowd: Floats
    fate: Floats
    corporate: Floats


def draw(seed: int, block: int, symbols: int, sectors: int) -> Draws:
    """Whole blocks only: where the clock stands in one must not matter."""
    shape = (symbols, BLOCK)

    def normal(stream: Stream) -> Floats:
        return np.ascontiguousarray(normals(seed, stream, block, shape).T)

    def uniform(stream: Stream) -> Floats:
        return np.ascontiguousarray(uniforms(seed, stream, block, shape).T)

    common = normals(seed, Stream.MARKET, block, (2 + sectors, BLOCK)).T
    return Draws(
        market=common[:, 0],
        market_heat=common[:, 1],
        sectors=common[:, 2:],
        shock=normal(Stream.SHOCK) * np.where(uniform(Stream.JUMP) < JUMP_CHANCE, JUMP_SIZE, 1.0),
        heat=normal(Stream.HEAT),
        gap=normal(Stream.GAP),
        high=-np.log1p(-uniform(Stream.HIGH)),
        low=-np.log1p(-uniform(Stream.LOW)),
        crowd=normal(Stream.CROWD),
        fate=uniform(Stream.FATE),
        corporate=uniform(Stream.CORPORATE),
    )
