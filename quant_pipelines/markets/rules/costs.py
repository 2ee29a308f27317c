"""What a trade costs: commission, tax on sales, transfer fee, as the rules of the day have it."""

from datetime import date
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from quant_pipelines.markets.rules.book import RuleBook, in_force

Floats = npt.NDArray[np.float64]


class Side(StrEnum):
    """Which way shares go."""

    BUY = "buy"
    SELL = "sell"


class Costs(NamedTuple):
    """One trade's costs in currency, not rounded: how a broker rounds is his own affair."""

    commission: Floats
    sell_tax: Floats
    transfer_fee: Floats

    @property
    def total(self) -> Floats:
        return self.commission + self.sell_tax + self.transfer_fee


def trading_costs(book: RuleBook, day: date, amounts: npt.ArrayLike, side: Side) -> Costs:
    """The costs of orders of these amounts, each filled as one order on that day. Nothing traded costs nothing."""
    amount = np.asarray(amounts, dtype=np.float64)
    if not np.all(amount >= 0):
        raise ValueError(f"Amounts are not negative and not NaN, whichever side they trade; found {amount!r}.")
    fee = np.maximum(amount * float(book.commission.rate), float(book.commission.minimum))
    tax = float(in_force(book.sell_tax, day).rate) if side is Side.SELL else 0.0
    transfer = float(in_force(book.transfer_fee, day).rate)
    return Costs(np.where(amount > 0, fee, 0.0), amount * tax, amount * transfer)
