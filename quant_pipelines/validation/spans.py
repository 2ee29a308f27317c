"""When each row was signalled and when its label opens and resolves, as places in the market's calendar."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Calendar
from quant_pipelines.validation.failures import BadSpans

Places = NDArray[np.int64]
Rows = NDArray[np.int64]
_COLUMNS = (SESSION, SYMBOL, "opens", "resolves")


@dataclass(frozen=True, eq=False)
class LabelSpans:
    """One entry per row, in any order; many symbols share a session, and splits never divide one."""

    session: Places
    opens: Places
    resolves: Places

    def __post_init__(self) -> None:
        if not self.session.shape == self.opens.shape == self.resolves.shape == (self.session.size,):
            raise BadSpans(
                f"Spans have {self.session.shape} sessions, {self.opens.shape} openings and {self.resolves.shape} "
                "resolutions. Give one of each per row."
            )
        wrong = np.flatnonzero((self.opens < self.session) | (self.resolves <= self.opens))
        if wrong.size:
            row = wrong[0]
            raise BadSpans(
                f"Row {row} is signalled at {self.session[row]}, opens at {self.opens[row]} and resolves at "
                f"{self.resolves[row]}. A label opens at its signal or later, and resolves after that."
            )

    @classmethod
    def from_labels(cls, labels: pa.Table, calendar: Calendar) -> Self:
        """From label rows of one label set, counted in the market's sessions."""
        missing = [name for name in _COLUMNS if name not in labels.column_names]
        if missing:
            raise BadSpans(f"Spans need the columns {', '.join(missing)}. Pass rows of the `labels` table.")
        if labels.num_rows == 0:
            return cls(*(np.empty(0, np.int64) for _ in range(3)))
        dates = [labels[name].to_numpy().astype("datetime64[us]") for name in (SESSION, "opens", "resolves")]
        first, last = min(each.min() for each in dates).item(), max(each.max() for each in dates).item()
        market = np.array(calendar.sessions(first, last), "datetime64[us]")
        places = [_places(each, market, calendar) for each in dates]
        _require_unique(places[0], labels)
        return cls(*places)

    @property
    def rows(self) -> int:
        return int(self.session.size)

    @cached_property
    def sessions(self) -> Places:
        """The sessions that have rows, oldest first: what splits count."""
        return np.unique(self.session)

    @cached_property
    def gap_sessions(self) -> int:
        """How far ahead of its signal any label resolves: before a test, so many sessions cannot be trained on."""
        return int((self.resolves - self.session).max(initial=0))

    def within(self, first: int, last: int) -> Rows:
        """The rows signalled from one session to another, both included."""
        return np.flatnonzero((self.session >= first) & (self.session <= last))


def _places(dates: NDArray[np.datetime64], market: NDArray[np.datetime64], calendar: Calendar) -> Places:
    places = np.minimum(np.searchsorted(market, dates), market.size - 1)
    strangers = dates[market[places] != dates]
    if strangers.size:
        raise BadSpans(f"{strangers[0]} is no session of {calendar.name}. Use the labels and calendar of one market.")
    return places.astype(np.int64)


def _require_unique(session: Places, labels: pa.Table) -> None:
    symbols = labels[SYMBOL].combine_chunks().dictionary_encode()
    keys = session * len(symbols.dictionary) + symbols.indices.to_numpy(zero_copy_only=False)
    twice = labels.num_rows - np.unique(keys).size
    if twice:
        raise BadSpans(
            f"{twice} rows repeat a session and symbol. Pass the rows of one label set, each once: a row that stands "
            "on both sides of a split is a leak."
        )
