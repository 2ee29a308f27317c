"""What a source of bars promises, whoever it is."""

from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from quant_pipelines.arrays import SESSION_TYPE
from quant_pipelines.calendars import Session

# What a source hands over. One row per (session, symbol) as the vendor has it: a vendor that delivers
# a key twice has delivered two rows, and the quality rules, not the source, decide what that means.
BARS = pa.schema(
    [
        pa.field("session", SESSION_TYPE, nullable=False),
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("open", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("close", pa.float64()),
        pa.field("volume", pa.float64()),
        pa.field("amount", pa.float64()),
        pa.field("previous_close", pa.float64()),
        pa.field("factor", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BarRequest:
    """A range of labels, both ends included, and optionally the only symbols wanted."""

    first: Session
    last: Session
    symbols: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError(f"A request runs forward: first {self.first} is after last {self.last}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """When a symbol could be traded: from `listed` on, up to and including `delisted` if it ever left."""

    symbol: str
    listed: Session
    delisted: Session | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """How far a source reaches. The token changes when, and only when, an answer may have changed."""

    last_session: Session | None
    token: str


class BarSource(Protocol):
    """A place that bars come from.

    Promises, held by one conformance suite over every implementation:

    - `bars` returns exactly the schema BARS, sorted by (session, symbol), only labels and symbols asked for.
    - Prices are in units of the market's currency, volume in shares (coins), amount in currency.
      Prices are raw (as traded), unless `prices_are_raw` says otherwise.
    - `factor` is the cumulative adjustment factor, dated: adjusted(t) as of T is price(t) * factor(t) / factor(T).
      It starts at 1 and no future event changes a past value. Null where the source knows none.
    - `previous_close` is the exchange's reference price for the session, null where the source has none.
    - A missing bar is a missing row: nothing is filled. A missing value is null, never NaN or infinity.
    - The same request on the same watermark gives the same rows; a wider one contains a narrower one.
    - A file or answer that cannot be read for certain raises DataRejected that names place and reason.
    """

    @property
    def name(self) -> str:
        """Short and stable, e.g. `synthetic:7` or `files:/data/us`; kept as provenance."""
        ...

    @property
    def prices_are_raw(self) -> bool:
        """False where the vendor adjusted prices already: limits, lots and money cannot be computed from them."""
        ...

    @property
    def missing_credentials(self) -> tuple[str, ...]:
        """Settings that the source needs and has not got; empty where it needs none."""
        ...

    def listings(self) -> tuple[Listing, ...]:
        """Every symbol this source knows, sorted by symbol."""
        ...

    def bars(self, request: BarRequest) -> pa.Table: ...

    def watermark(self) -> Watermark: ...
