"""Who serves which symbol: by a hash of the strategy and the symbol, so it is the same everywhere and always."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.deployment.live import EVERYBODY, Live, Ref
from quant_pipelines.digest import digest_bytes

_DIGITS = 16
_SCALE = 2.0**-64
_BETWEEN = b"\0"


def places(salt: str, symbols: Sequence[str]) -> NDArray[np.float64]:
    """A place in [0, 1) for each symbol; another salt gives other places."""
    begin = salt.encode() + _BETWEEN
    digits = "".join([digest_bytes(begin, symbol.encode())[:_DIGITS] for symbol in symbols])
    drawn = np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.float64) * _SCALE
    # The largest numbers round up to 1.
    return np.minimum(drawn, np.nextafter(1.0, 0.0))


def served(salt: str, symbols: Sequence[str], percent: int) -> NDArray[np.bool_]:
    """Which symbols a version at this stage serves. Who is in at 10 percent is in at 30."""
    return places(salt, symbols) < percent / EVERYBODY


def routes(live: Live, symbols: Sequence[str]) -> dict[str, Ref]:
    """The version that serves each symbol; empty where nothing is live."""
    champion = live.champion
    if champion is None:
        return {}
    if live.canary is None:
        return dict.fromkeys(symbols, champion.version)
    chosen = served(live.model, symbols, live.canary.stage)
    return {
        symbol: live.canary.version if candidate else champion.version
        for symbol, candidate in zip(symbols, chosen.tolist(), strict=True)
    }


def assigned(salt: str, symbols: Sequence[str], shares: Mapping[str, float]) -> NDArray[np.int64]:
    """Which of the shares each symbol falls into, as a place among them. Shares add up to 1."""
    edges = np.cumsum(np.array(list(shares.values()), np.float64))[:-1]
    return np.searchsorted(edges, places(salt, symbols), side="right").astype(np.int64)
