"""What made-up symbols are called: as on the market whose rules they trade under."""

from collections import Counter
from collections.abc import Callable

from quant_pipelines.errors import OperatorActionRequired

# Code before the first of each board, and its exchange: main, main, ChiNext, main, STAR.
_A_SHARE_CYCLE = ((600000, "SH"), (0, "SZ"), (300000, "SZ"), (600000, "SH"), (688000, "SH"))
_COINS = ("BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "DOGE", "TRX", "LTC", "DOT")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST_SYMBOLS = 5_000


class TooManySymbols(OperatorActionRequired):
    """More made-up symbols than there are codes."""

    code = "QP130"


def symbol_names(rules: str, count: int) -> tuple[str, ...]:
    """One name per place, and the same whatever the count."""
    if count > MOST_SYMBOLS:
        raise TooManySymbols(
            f"A synthetic market of {count} symbols was asked for, but there are codes for {MOST_SYMBOLS}. "
            f"Set source.symbols to {MOST_SYMBOLS} or fewer."
        )
    return _NAMES.get(rules, _tickers)(count)


def _a_shares(count: int) -> tuple[str, ...]:
    taken: Counter[int] = Counter()
    names: list[str] = []
    for place in range(count):
        before, exchange = _A_SHARE_CYCLE[place % len(_A_SHARE_CYCLE)]
        taken[before] += 1
        names.append(f"{before + taken[before]:06d}.{exchange}")
    return tuple(names)


def _coins(count: int) -> tuple[str, ...]:
    return tuple(_COINS[place] if place < len(_COINS) else f"COIN{place:04d}" for place in range(count))


def _tickers(count: int) -> tuple[str, ...]:
    return tuple(
        f"Q{_LETTERS[place // 676]}{_LETTERS[place // 26 % 26]}{_LETTERS[place % 26]}" for place in range(count)
    )


_NAMES: dict[str, Callable[[int], tuple[str, ...]]] = {"a_share": _a_shares, "crypto": _coins}
