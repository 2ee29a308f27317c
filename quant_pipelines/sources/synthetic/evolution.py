"""One session after the other: each step knows the state before it and its own chance, and nothing later."""

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from quant_pipelines.markets.rules import RuleBook, limit_ticks
from quant_pipelines.markets.rules.limits import BASIS_POINTS
from quant_pipelines.sources.synthetic import recipe
from quant_pipelines.sources.synthetic.chance import Floats
from quant_pipelines.sources.synthetic.recipe import Character, Draws

Ticks = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NEVER = -1
_LOWEST_TICK = 1
_HIGHEST_TICK = 10**9
_OLD = 10**6


@dataclass(slots=True)
class State:
    """Everything that one session hands to the next. Positions of sessions count from the market's first."""

    position: int
    market_heat: float
    heat: Floats
    crowd: Floats
    close: Ticks
    factor: Floats
    shares: Floats
    age: Ticks
    free_sessions: Ticks
    listed_at: Ticks
    gone_at: Ticks
    suspended: Flags
    penny_sessions: Ticks
    window: Floats
    signal: Floats

    def copy(self) -> "State":
        """A state that lives on its own."""
        return deepcopy(self)


@dataclass(slots=True)
class Bars:
    """A block of sessions x symbols, in ticks and lots."""

    traded: Flags
    open: Ticks
    high: Ticks
    low: Ticks
    close: Ticks
    reference: Ticks
    lots: Ticks
    factor: Floats
    score: Floats

    @classmethod
    def empty(cls, sessions: int, symbols: int) -> "Bars":
        shape = (sessions, symbols)
        return cls(
            traded=np.zeros(shape, np.bool_),
            open=np.zeros(shape, np.int64),
            high=np.zeros(shape, np.int64),
            low=np.zeros(shape, np.int64),
            close=np.zeros(shape, np.int64),
            reference=np.zeros(shape, np.int64),
            lots=np.zeros(shape, np.int64),
            factor=np.zeros(shape),
            score=np.zeros(shape),
        )


class Moves(NamedTuple):
    """What drives a session's prices: log returns, and each symbol's volatility."""

    returns: Floats
    volatility: Floats


class Room(NamedTuple):
    """Where prices may go."""

    down: Ticks
    up: Ticks


@dataclass(slots=True)
class Evolution:
    """A market's laws of motion."""

    character: Character
    book: RuleBook
    boards: tuple[str, ...]
    days: float
    """Length of a session in days; hourly bars move less."""
    columns: dict[str, Ticks] = field(init=False)

    def __post_init__(self) -> None:
        names = np.array(self.boards)
        self.columns = {board: np.flatnonzero(names == board) for board in dict.fromkeys(self.boards)}

    def beginning(self) -> State:
        count = len(self.boards)
        late = self.character.is_late
        return State(
            position=0,
            market_heat=0.0,
            heat=np.zeros(count),
            crowd=np.zeros(count),
            close=self.character.issue_ticks.copy(),
            factor=np.ones(count),
            shares=np.ones(count),
            age=np.where(late, NEVER, _OLD),
            free_sessions=np.zeros(count, np.int64),
            listed_at=np.where(late, NEVER, 0),
            gone_at=np.full(count, NEVER),
            suspended=np.zeros(count, np.bool_),
            penny_sessions=np.zeros(count, np.int64),
            window=np.full((recipe.SIGNAL_SESSIONS, count), np.nan),
            signal=np.zeros(count),
        )

    def step(self, state: State, draws: Draws, row: int, day: date, bars: Bars) -> None:
        """Live through one session and write its bars."""
        traded = self._fates(state, draws.fate[row], day)
        reference = self._corporate_actions(state, draws.corporate[row], traded)
        moves = self._moves(state, draws, row)
        room = self._room(state, reference, day)
        close = _within(reference * np.exp(moves.returns), room)
        gap = 0.4 * moves.returns + 0.4 * moves.volatility * draws.gap[row]
        open_ = _within(reference * np.exp(gap), room)
        reach = 0.45 * moves.volatility
        bars.high[row] = _within(np.maximum(open_, close) * np.exp(reach * draws.high[row]), room)
        bars.low[row] = _within(np.minimum(open_, close) * np.exp(-reach * draws.low[row]), room)
        bars.open[row], bars.close[row], bars.reference[row] = open_, close, reference
        bars.lots[row] = self._lots(state, draws.crowd[row], moves)
        bars.traded[row], bars.factor[row] = traded, state.factor
        bars.score[row] = _remember(state, close, traded)

    def _fates(self, state: State, chance: Floats, day: date) -> Flags:
        """Who trades today: new listings do, delisted and suspended symbols do not."""
        delisting, suspension = recipe.DELISTING_CHANCE * self.days, recipe.SUSPENSION_CHANCE * self.days
        unborn = state.listed_at == NEVER
        born = unborn & (chance < recipe.IPO_CHANCE * self.days)
        living = ~unborn & (state.gone_at == NEVER)
        leaving = living & ((chance < delisting) | (state.penny_sessions >= recipe.PENNY_SESSIONS))
        stays = chance < 1.0 - recipe.RESUMPTION_CHANCE * self.days
        begins = (chance >= delisting) & (chance < delisting + suspension)
        state.suspended = living & ~leaving & np.where(state.suspended, stays, begins)
        state.gone_at[leaving] = state.position
        self._list(state, born, day)
        return (living & ~leaving & ~state.suspended) | born

    def _list(self, state: State, born: Flags, day: date) -> None:
        state.listed_at[born] = state.position
        state.age[born] = 0
        for symbol in np.flatnonzero(born):
            state.free_sessions[symbol] = self.book.limit_on(self.boards[symbol], day).free_sessions

    def _corporate_actions(self, state: State, chance: Floats, traded: Flags) -> Ticks:
        """The exchange's reference price: the last close, less what left the share today. Raises the factor alike."""
        year = round(recipe.DIVIDEND_SESSIONS / self.days)
        due = (state.position + self.character.dividend_phase) % year == 0
        due &= traded & (state.age > 0) & (chance < recipe.DIVIDEND_CHANCE) & (self.book.name != "crypto")
        if not due.any():
            return state.close.copy()
        lowest, highest = recipe.DIVIDEND_YIELD
        paid = lowest + (highest - lowest) * chance / recipe.DIVIDEND_CHANCE
        cash = np.floor(state.close * paid).astype(np.int64)
        bonus = np.select(
            [state.close > limit for limit in reversed(recipe.BONUS_TICKS)], tuple(reversed(recipe.BONUS_TENTHS)), 0
        )
        tenths = np.where(due, 10 + bonus, 10)
        ex_right = ((state.close - cash) * 20 + tenths) // (2 * tenths)
        reference = np.where(due, np.maximum(ex_right, _LOWEST_TICK), state.close)
        state.factor = state.factor * (state.close / reference)
        state.shares = state.shares * tenths / 10
        return reference

    def _moves(self, state: State, draws: Draws, row: int) -> Moves:
        per_session = np.sqrt(self.days)
        state.market_heat = recipe.MEMORY * state.market_heat + recipe.MARKET_HEAT * float(draws.market_heat[row])
        state.heat = recipe.MEMORY * state.heat + recipe.HEAT * draws.heat[row]
        common = np.exp(state.market_heat) * per_session
        market = recipe.MARKET_VOLATILITY * common * draws.market[row]
        sectors = recipe.SECTOR_VOLATILITY * common * draws.sectors[row]
        volatility = self.character.volatility * np.exp(state.heat + 0.5 * state.market_heat) * per_session
        size = np.where(state.age < recipe.NEW_LISTING_SESSIONS, recipe.FIRST_SESSIONS_SIZE, 1.0)
        volatility = volatility * np.where(state.age == 0, recipe.FIRST_SESSION_SIZE, size)
        expected = recipe.DAILY_PREMIUM * self.days + recipe.EDGE * per_session * state.signal
        together = self.character.beta * market + sectors[self.character.sector]
        return Moves(expected + together + volatility * draws.shock[row], volatility)

    def _room(self, state: State, reference: Ticks, day: date) -> Room:
        """The day's price limits, and none where the rules have none or a listing is new."""
        band = np.full(reference.shape, NEVER)
        for board, columns in self.columns.items():
            limit = self.book.limit_on(board, day).band
            if limit is not None:
                band[columns] = int(limit * BASIS_POINTS)
        limited = (band != NEVER) & (state.age >= state.free_sessions)
        down, up = limit_ticks(reference, band)
        return Room(np.where(limited, down, _LOWEST_TICK), np.where(limited, up, _HIGHEST_TICK))

    def _lots(self, state: State, chance: Floats, moves: Moves) -> Ticks:
        """Trade is brisk where prices move, and stays so for a while."""
        state.crowd = recipe.CROWD_MEMORY * state.crowd + recipe.CROWD * chance
        heat = recipe.CROWD_HEAT * (state.heat + 0.5 * state.market_heat)
        move = recipe.CROWD_MOVE * np.minimum(np.abs(moves.returns) / moves.volatility, recipe.LARGEST_MOVE)
        issue_price = self.character.issue_ticks / recipe.TICKS_PER_UNIT
        usual = np.exp(self.character.log_amount) * self.days * state.shares / (issue_price * recipe.LOT)
        return np.maximum(usual * np.exp(state.crowd + heat + move), 1.0).astype(np.int64)


def _within(price: Floats | Ticks, room: Room) -> Ticks:
    rounded = np.floor(np.minimum(price, float(_HIGHEST_TICK)) + 0.5).astype(np.int64)
    return np.clip(rounded, np.maximum(room.down, _LOWEST_TICK), room.up)


def _remember(state: State, close: Ticks, traded: Flags) -> Floats:
    """Close the session; the planted signal as of now, NaN where it cannot be known."""
    state.close = np.where(traded, close, state.close)
    penny = np.where(close < recipe.PENNY_TICKS, state.penny_sessions + 1, 0)
    state.penny_sessions = np.where(traded, penny, state.penny_sessions)
    adjusted: Floats = np.where(traded, close * state.factor, np.nan)
    state.window[state.position % recipe.SIGNAL_SESSIONS] = adjusted
    state.age = state.age + (state.age != NEVER)
    state.position += 1
    score = _signal(state.window, adjusted)
    state.signal = np.where(np.isnan(score), 0.0, score)
    return score


def _signal(window: Floats, adjusted: Floats) -> Floats:
    """(MA20 - 1) / STD20; sessions without a bar are left out of both."""
    known = ~np.isnan(window)
    count = known.sum(axis=0)
    mean = np.where(known, window, 0.0).sum(axis=0) / np.maximum(count, 1)
    deviation = np.where(known, window - mean, 0.0)
    spread = np.sqrt((deviation * deviation).sum(axis=0) / np.maximum(count - 1, 1))
    # Equal closes leave a spread of rounding errors, not of prices.
    usable = ~np.isnan(adjusted) & (count > 1) & (spread > mean * 1e-9)
    return np.where(usable, (mean - adjusted) / np.where(usable, spread, 1.0), np.nan)
