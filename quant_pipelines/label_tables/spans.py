"""How far prices reach beyond each signal, and hence which of its labels have closed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from quant_pipelines.calendars import Session
from quant_pipelines.labels import LabelSet


def closed_after(
    sessions: Sequence[Session], priced: Collection[Session], *, gaps_are_known: bool
) -> dict[Session, int]:
    """For each session: how many sessions after it have closed, in a row, as far as prices tell.

    Where every listed symbol has a row in every session, one without rows was not published yet and is waited for.
    Where missing bars are missing rows nobody can tell, and the newest session with prices is the last one known.
    """
    newest = max(priced, default=None)
    counts: dict[Session, int] = {}
    ahead = -1
    for session in reversed(sessions):
        known = session in priced or (gaps_are_known and newest is not None and session < newest)
        ahead = ahead + 1 if known else -1
        counts[session] = max(ahead, 0)
    return counts


@dataclass(frozen=True)
class Spans:
    """Which label sets have closed for each signal, given how many sessions after it have."""

    sets: Sequence[LabelSet]
    after: Mapping[Session, int]

    def closed(self, session: Session) -> tuple[LabelSet, ...]:
        return self._by_count[min(self.after.get(session, 0), self.longest)]

    def reach(self, session: Session) -> int:
        """How many sessions after the signal its closed labels are made of."""
        return max((each.resolves_after for each in self.closed(session)), default=0)

    @cached_property
    def longest(self) -> int:
        return max(each.resolves_after for each in self.sets)

    @cached_property
    def _by_count(self) -> list[tuple[LabelSet, ...]]:
        return [tuple(each for each in self.sets if each.resolves_after <= count) for count in range(self.longest + 1)]
