"""Which sessions a source now tells otherwise than the lake holds them: exactly those are fetched again."""

from bisect import bisect_right
from collections.abc import Sequence

from quant_pipelines.calendars import Calendar, Session
from quant_pipelines.lake import Window
from quant_pipelines.lake.tables import PRICES, RAW_BARS
from quant_pipelines.prices.collect import Collector, as_raw_bars
from quant_pipelines.prices.windows import all_sessions, chunks, label_window

# More spans than these, and one run over all of them is cheaper than a process for each.
MOST_SPANS = 10


def consecutive(calendar: Calendar, sessions: Sequence[Session]) -> list[list[Session]]:
    """The sessions in unbroken spans, or as one span from the first to the last where there are many."""
    spans: list[list[Session]] = []
    for session in sessions:
        if spans and calendar.offset(spans[-1][-1], 1) == session:
            spans[-1].append(session)
        else:
            spans.append([session])
    return spans if len(spans) <= MOST_SPANS else [calendar.sessions(sessions[0], sessions[-1])]


def changed_sessions(collector: Collector) -> list[Session]:
    """Closed sessions whose bars differ, were never fetched, or were fetched and never published; oldest first."""
    market, source = collector.market, collector.answering.source
    sessions = all_sessions(market, source.watermark(), collector.clock)
    if not sessions:
        return []
    raw = collector.lake.table(market.name, RAW_BARS)
    published = collector.lake.table(market.name, PRICES).session_ids()
    changed: set[Session] = set()
    for window in chunks(market.sessions_calendar, Window(sessions[0], sessions[-1])):
        labels = label_window(market.sessions_calendar, window)
        rows = as_raw_bars(collector.fetch(labels), source=source.name, clock=collector.clock)
        now, before = raw.ids_of(rows), raw.session_ids(labels)
        differing = {label for label in now.keys() | before.keys() if now.get(label) != before.get(label)}
        unpublished = {label for label in before if label not in published}
        # A stray weekend row belongs to the session before it.
        changed |= {sessions[max(0, bisect_right(sessions, label) - 1)] for label in differing | unpublished}
    return sorted(changed)
