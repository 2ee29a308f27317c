"""Looks at a holdout, on record: who has looked often enough finds something by luck."""

from dataclasses import dataclass

from quant_pipelines.calendars import Session
from quant_pipelines.documents import Entry
from quant_pipelines.journal import Journal, Kind


class Look(Entry, frozen=True):
    """A candidate that was about to be judged on these sessions of signals, and whom it was compared with."""

    training_id: str
    snapshot_id: str
    first: Session
    last: Session
    champion: str | None = None


LOOK = Kind("holdout_read", Look)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """`others` were judged on any of the sessions before the candidate first was: each had its chance to be lucky.

    `times` is how often anybody has looked by now, the candidate itself and repetitions included.
    """

    others: int
    times: int


def look(journal: Journal, strategy: str, value: Look, *, actor: str) -> Looks:
    """Put a look on record before it is taken, and count those that were taken."""
    row = journal.append(LOOK.entry(value, subject=strategy, actor=actor))
    rows = [LOOK.of(each) for each in journal.rows(kind=LOOK.name, subject=strategy) if each.sequence <= row.sequence]
    same = [each for each in rows if each.first <= value.last and value.first <= each.last]
    mine = next(place for place, each in enumerate(same) if each.training_id == value.training_id)
    return Looks(others=len({each.training_id for each in same[:mine]}), times=len(same))
