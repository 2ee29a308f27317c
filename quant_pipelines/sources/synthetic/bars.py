"""A made-up market as a source of bars."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from quant_pipelines.arrays import SESSION, SESSION_TYPE, SYMBOL
from quant_pipelines.calendars import Calendar, Session, session_key
from quant_pipelines.clock import Clock
from quant_pipelines.digest import digest_json
from quant_pipelines.markets.market import SyntheticSource
from quant_pipelines.markets.rules import RuleBook, load_rules
from quant_pipelines.sources.protocol import BARS, BarRequest, Listing, Watermark
from quant_pipelines.sources.synthetic.evolution import NEVER, Bars
from quant_pipelines.sources.synthetic.recipe import LOT, TICKS_PER_UNIT, VERSION
from quant_pipelines.sources.synthetic.tape import Tape, sorted_places, tape_for

SCORES = pa.schema(
    [
        pa.field(SESSION, SESSION_TYPE, nullable=False),
        pa.field(SYMBOL, pa.string(), nullable=False),
        pa.field("score", pa.float64()),
    ]
)
_USUAL_RULES = {"XSHG": "a_share", "24/7": "crypto"}
_OTHER_RULES = "us_equity"


class SyntheticBars:
    """A seeded market that grows with the clock, implementing BarSource.

    Trades under the rules given, else under those usual for its calendar. See recipe.py for what it is made
    of; the planted signal is `oracle_scores`.
    """

    prices_are_raw = True
    missing_credentials: tuple[str, ...] = ()

    def __init__(
        self,
        config: SyntheticSource,
        calendar: Calendar,
        begins: Session,
        clock: Clock,
        *,
        rules: RuleBook | None = None,
    ) -> None:
        self._config = config
        self._calendar = calendar
        self._begins = begins
        self._clock = clock
        self._book = rules or load_rules(_USUAL_RULES.get(calendar.name, _OTHER_RULES))

    @property
    def name(self) -> str:
        return f"synthetic:{self._config.seed}"

    def listings(self) -> tuple[Listing, ...]:
        """As known at the clock's time: nobody knows today who will be delisted tomorrow."""
        labels = self._labels()
        if not labels:
            return ()
        tape = self._tape()
        state = tape.advance(labels)
        return tuple(
            Listing(
                symbol=tape.symbols[place],
                listed=labels[state.listed_at[place]],
                delisted=labels[gone - 1] if NEVER != (gone := int(state.gone_at[place])) < len(labels) else None,
            )
            for place in sorted_places(tape.symbols)
            if NEVER != state.listed_at[place] < len(labels)
        )

    def bars(self, request: BarRequest) -> pa.Table:
        return pa.concat_tables([BARS.empty_table(), *(stretch.bar_table() for stretch in self._stretches(request))])

    def oracle_scores(self, request: BarRequest) -> pa.Table:
        """The planted signal at each bar's close: (MA20 - 1) / STD20 of Alpha158, from adjusted closes.

        The next session's expected return is recipe.EDGE times it. Null for a symbol's first bar.
        """
        return pa.concat_tables(
            [SCORES.empty_table(), *(stretch.score_table() for stretch in self._stretches(request))]
        )

    def watermark(self) -> Watermark:
        labels = self._labels()
        last = labels[-1] if labels else None
        identity = {
            "recipe": VERSION,
            "source": self._config.model_dump(mode="json"),
            "calendar": self._calendar.name,
            "rules": self._book.name,
            "begins": session_key(self._begins),
            "last": session_key(last) if last else None,
        }
        return Watermark(last_session=last, token=digest_json(identity))

    def _tape(self) -> Tape:
        # pydantic gives frozen entries their hash where a type checker does not see it.
        return tape_for(self._config, self._calendar, self._begins, self._book)  # pyright: ignore[reportArgumentType]

    def _labels(self) -> Sequence[Session]:
        """The market's sessions that have closed."""
        last = self._calendar.last_closed(self._clock.now())
        return _sessions(self._calendar, self._begins, last) if last >= self._begins else ()

    def _stretches(self, request: BarRequest) -> Iterator["_Stretch"]:
        """What was asked for, a block at a time."""
        labels = self._labels()
        first, stop = bisect_left(labels, request.first), bisect_right(labels, request.last)
        if first >= stop:
            return
        tape = self._tape()
        wanted = request.symbols
        places = [at for at in sorted_places(tape.symbols) if wanted is None or tape.symbols[at] in wanted]
        names = pa.array([tape.symbols[place] for place in places], pa.string())
        for begin, bars, rows in tape.stretches(labels, first, stop):
            yield _Stretch(
                bars, rows, np.array(places, dtype=np.int64), names, labels[begin : begin + rows.stop - rows.start]
            )


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Some sessions and symbols of one block, on the way to a table."""

    bars: Bars
    rows: slice
    places: npt.NDArray[np.int64]
    names: pa.Array
    labels: Sequence[Session]

    def bar_table(self) -> pa.Table:
        traded = self._values(self.bars.traded)
        ticks = {name: self._values(getattr(self.bars, name))[traded] for name in ("open", "high", "low", "close")}
        lots = self._values(self.bars.lots)[traded]
        columns = self._keys(traded) | {name: values / TICKS_PER_UNIT for name, values in ticks.items()}
        columns["volume"] = (lots * LOT).astype(np.float64)
        # Traded at the mean of the four prices. A lot of 100 shares is as many cents as units: the amount is exact.
        columns["amount"] = lots * sum(ticks.values()) * (LOT / TICKS_PER_UNIT) / len(ticks)
        columns["previous_close"] = self._values(self.bars.reference)[traded] / TICKS_PER_UNIT
        columns["factor"] = self._values(self.bars.factor)[traded]
        return pa.table([columns[name] for name in BARS.names], schema=BARS)

    def score_table(self) -> pa.Table:
        traded = self._values(self.bars.traded)
        scores = pa.array(self._values(self.bars.score)[traded], from_pandas=True)
        return pa.table([*self._keys(traded).values(), scores], schema=SCORES)

    def _values(self, matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return matrix[self.rows][:, self.places]

    def _keys(self, traded: npt.NDArray[np.bool_]) -> dict[str, Any]:
        sessions, symbols = np.nonzero(traded)
        labels = np.array(self.labels, dtype="datetime64[us]")
        return {SESSION: labels[sessions], SYMBOL: self.names.take(pa.array(symbols))}


@lru_cache(maxsize=8)
def _sessions(calendar: Calendar, begins: Session, last: Session) -> tuple[Session, ...]:
    return tuple(calendar.sessions(begins, last))
