"""What trading by scores would have brought: real prices, fills at opens, after costs.

The score of a session is made at its close and traded at the open of the next session. Prices are adjusted for splits
and dividends, open and close of a session by the same factor.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.evaluation.failures import BadEvaluation, RowsDiffer

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]
# What drifts by less than this share of the equity is no order.
_SMALLEST_ORDER = 1e-6
_ROUNDING = 1e-9
_HALF = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Fractions of what is bought and of what is sold: commission, duty, half the spread and slippage together."""

    buy: float
    sell: float

    def __post_init__(self) -> None:
        if not (0 <= self.buy < _HALF and 0 <= self.sell < _HALF):
            raise BadEvaluation(f"Costs of {self.buy} and {self.sell} mean nothing. 0.001 is 0.1 percent.")


@dataclass(frozen=True, eq=False, kw_only=True)
class Prices:
    """(sessions x symbols), NaN where nothing traded. `buyable` and `sellable` are of the open of the same session."""

    open: Matrix
    close: Matrix
    buyable: Mask
    sellable: Mask

    def __post_init__(self) -> None:
        if not self.open.shape == self.close.shape == self.buyable.shape == self.sellable.shape or self.open.ndim != 2:  # noqa: PLR2004 - a table
            raise RowsDiffer(
                f"Opens are {self.open.shape}, closes {self.close.shape}, buyable {self.buyable.shape} and sellable "
                f"{self.sellable.shape}. Give sessions x symbols, the same for all."
            )
        for name, prices in (("open", self.open), ("close", self.close)):
            if np.isinf(prices).any() or (prices <= 0).any():
                raise RowsDiffer(f"There are {name} prices of 0, below it, or infinite. Give NaN where nothing traded.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """How scores become weights: the best and the worst `quantile` of the names, all of a side weighing the same."""

    quantile: float
    short: bool

    def __post_init__(self) -> None:
        if not 0 < self.quantile <= _HALF:
            raise BadEvaluation(f"A quantile of {self.quantile} has no meaning. It is a fraction up to 0.5.")


@dataclass(frozen=True, eq=False, kw_only=True)
class Traded:
    """Session by session from the second one on, when the first score could be traded.

    `returns` are after costs and `gross` before them, of the equity at the session before. `turnover` is half of what
    was bought and sold, over the equity. `wanted` counts orders and `rejected` those that could not be filled.
    """

    returns: Vector
    gross: Vector
    turnover: Vector
    wanted: NDArray[np.int64]
    rejected: NDArray[np.int64]

    @property
    def execution_reject_rate(self) -> float | None:
        """Share of orders that could not be filled; an order that is tried again counts again."""
        orders = int(self.wanted.sum())
        return int(self.rejected.sum()) / orders if orders else None


def long_short(scores: Matrix, prices: Prices, costs: Costs, *, quantile: float) -> Traded:
    """Half of the equity long in the top quantile, half short in the bottom one; what was sold short earns nothing."""
    return traded(weights(scores, Book(quantile=quantile, short=True)), prices, costs)


def long_only(scores: Matrix, prices: Prices, costs: Costs, *, quantile: float) -> Traded:
    """All of the equity in the top quantile."""
    return traded(weights(scores, Book(quantile=quantile, short=False)), prices, costs)


def weights(scores: Matrix, book: Book) -> Matrix:
    """The share of the equity that each name should have; of a session without scores NaN, which is no wish.

    Names that tie for the last places share them, so that constant scores prefer nobody.
    """
    scored = np.isfinite(scores)
    names = scored.sum(axis=1)
    places = np.maximum((names * book.quantile + _ROUNDING).astype(np.int64), 1)
    top = _best(np.where(scored, scores, -np.inf), places)
    if book.short:
        # A single name cannot be the best and the worst: it is left alone.
        top = (top - _best(np.where(scored, -scores, -np.inf), places)) * _HALF
    return np.where((names > 0)[:, None], top, np.nan)


def _best(scores: Matrix, places: NDArray[np.int64]) -> Matrix:
    """Each session's highest scores, weighing 1 together."""
    ordered = np.sort(scores, axis=1)[:, ::-1]
    last = np.take_along_axis(ordered, places[:, None] - 1, axis=1)
    above, ties = scores > last, (scores == last) & (scores > -np.inf)
    shared = (places - above.sum(axis=1)) / np.maximum(ties.sum(axis=1), 1)
    return (above + ties * shared[:, None]) / places[:, None]


def traded(targets: Matrix, prices: Prices, costs: Costs) -> Traded:
    """Hold the weights of each session from the next open on, as far as orders are filled.

    What is not traded keeps its last price, and moves to the new one when it trades again; its money is tied, and other
    orders shrink for it. A ruined account stays ruined.
    """
    if targets.shape != prices.open.shape:
        raise RowsDiffer(f"Weights are {targets.shape}, prices {prices.open.shape}. Give one row per session for both.")
    account = _Account(last=prices.close[0].copy(), held=np.zeros(targets.shape[1]), equity=1.0)
    days = [account.session(targets[at - 1], prices, at, costs) for at in range(1, len(targets))]
    columns = [np.array(column) for column in zip(*days, strict=True)] or [np.empty(0)] * 5
    return Traded(
        returns=columns[0].astype(np.float64),
        gross=columns[1].astype(np.float64),
        turnover=columns[2].astype(np.float64),
        wanted=columns[3].astype(np.int64),
        rejected=columns[4].astype(np.int64),
    )


@dataclass(eq=False, kw_only=True)
class _Account:
    """What is held of each name, in money, at its last known price; the rest of the equity is cash."""

    last: Vector
    held: Vector
    equity: float

    def session(self, targets: Vector, prices: Prices, at: int, costs: Costs) -> tuple[float, float, float, int, int]:
        """Return, return before costs, turnover, orders and rejected orders of one session."""
        began = self.equity
        if began <= 0:
            return 0.0, 0.0, 0.0, 0, 0
        self._mark(prices.open[at])
        if self.equity <= 0:
            self.equity = 0.0
            return -1.0, -1.0, 0.0, 0, 0
        opened = self.equity
        wish = np.where(np.isnan(targets), 0.0, targets * opened - self.held)
        wanted = np.abs(wish) > _SMALLEST_ORDER * opened
        allowed = np.where(wish > 0, prices.buyable[at], prices.sellable[at]) & ~np.isnan(prices.open[at])
        fills = _affordable(np.where(wanted & allowed, wish, 0.0), self.held, float(np.abs(self.held + wish).sum()))
        bought, sold = float(fills[fills > 0].sum()), -float(fills[fills < 0].sum())
        self.held = self.held + fills
        self._mark(prices.close[at])
        gross = max(self.equity, 0.0)
        self.equity = max(self.equity - costs.buy * bought - costs.sell * sold, 0.0)
        turnover = (bought + sold) / 2.0 / opened
        rejected = int((wanted & ~allowed).sum())
        return self.equity / began - 1.0, gross / began - 1.0, turnover, int(wanted.sum()), rejected

    def _mark(self, prices: Vector) -> None:
        """Move to these prices, where there are some."""
        known = ~np.isnan(prices)
        moved = np.where(known & ~np.isnan(self.last), prices / self.last, 1.0)
        grown = self.held * moved
        self.equity += float((grown - self.held).sum())
        self.held = grown
        self.last = np.where(known, prices, self.last)


def _affordable(fills: Vector, held: Vector, most: float) -> Vector:
    """What cannot be closed keeps its money: what is opened shrinks until no more is at stake than was wished."""
    after = held + fills
    opened = np.maximum(np.abs(after) - np.abs(held), 0.0)
    excess = float(np.abs(after).sum()) - most
    if excess <= 0 or not opened.any():
        return fills
    left = max(1.0 - excess / float(opened.sum()), 0.0)
    return np.where(opened > 0, np.sign(after) * (np.abs(held) + left * opened) - held, fills)
