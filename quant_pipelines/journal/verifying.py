"""Walks the whole chain and says what is wrong with it, in memory that grows with the damage, not with the journal.

A row's hash covers its number, so a row that was moved still tells which number it had. Rows that moved alike lie
in one run; what lies between two runs says what was removed, put in, or swapped.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from quant_pipelines.journal.anchor import GENESIS, Head
from quant_pipelines.journal.entries import Stored
from quant_pipelines.journal.findings import Finding, Tampering

# Where in the table the row with this hash lies, None where there is none.
Find = Callable[[str], int | None]

# How far a row's old number is looked for where nothing hints at it.
_REACH = 32


@dataclass(slots=True)
class _Run:
    """Rows that lie side by side and moved by the same count; `moved` is None where the hash fits no number."""

    first: int
    last: int
    moved: int | None

    @property
    def first_was(self) -> int:
        return self.first + (self.moved or 0)

    @property
    def last_was(self) -> int:
        return self.last + (self.moved or 0)


def findings(rows: Iterable[Stored], witnesses: Iterable[Head], find: Find) -> list[Finding]:
    """Everything that is wrong with these rows, which come in the order of their numbers."""
    seen = dict[int, set[str]]()
    for head in witnesses:
        seen.setdefault(head.sequence, set()).add(head.hash)
    walk = _Walk(find, seen)
    for row in rows:
        walk.step(row)
    swapped = list(_undo_swaps(walk.runs))
    between = list(_between(walk.runs))
    return sorted({*walk.found, *swapped, *between, *_replaced(walk.unlinked, between), *walk.missing()})


@dataclass
class _Walk:
    find: Find
    witnesses: dict[int, set[str]]
    found: list[Finding] = field(default_factory=list[Finding])
    runs: list[_Run] = field(default_factory=lambda: [_Run(0, 0, 0)])
    # Whole rows that do not follow the whole row before them.
    unlinked: list[int] = field(default_factory=list[int])
    previous: str = GENESIS.hash

    def __post_init__(self) -> None:
        self._meet(GENESIS.sequence, GENESIS.hash)

    def step(self, row: Stored) -> None:
        if row.sequence <= GENESIS.sequence:
            self.found.append(Finding(row.sequence, row.sequence, Tampering.INSERTED))
            return
        run = self.runs[-1]
        moved = self._moved(row)
        if moved is not None:
            self._meet(row.sequence + moved, row.hash)
        if moved == run.moved and row.sequence == run.last + 1:
            if moved is not None and row.previous != self.previous:
                self.unlinked.append(row.sequence)
            run.last = row.sequence
        else:
            self.runs.append(_Run(row.sequence, row.sequence, moved))
        self.previous = row.hash

    def missing(self) -> Iterator[Finding]:
        """What was witnessed beyond the last row."""
        last = max(run.last_was for run in self.runs)
        if beyond := [sequence for sequence in self.witnesses if sequence > last]:
            yield Finding(last + 1, max(beyond), Tampering.TRUNCATED)

    def _moved(self, row: Stored) -> int | None:
        """How far the row lies from the number that its hash was made with."""
        for number in self._candidates(row):
            if number > GENESIS.sequence and row.fits(number):
                return number - row.sequence
        return None

    def _candidates(self, row: Stored) -> Iterator[int]:
        yield row.sequence + (next(run.moved for run in reversed(self.runs) if run.moved is not None) or 0)
        yield row.sequence
        place = self.find(row.previous)
        if place is not None:
            # One after the row it follows; or that row has changed places with this one.
            yield from (place + 1, place)
        for distance in range(1, _REACH + 1):
            yield from (row.sequence + distance, row.sequence - distance)

    def _meet(self, sequence: int, found: str) -> None:
        if self.witnesses.get(sequence, {found}) != {found}:
            self.found.append(Finding(sequence, sequence, Tampering.REWRITTEN))


def _undo_swaps(runs: list[_Run]) -> Iterator[Finding]:
    """Two single rows that stand in each other's place are swapped; the rest is judged as if they were not."""
    alone = {run.first: run for run in runs if run.moved and run.first == run.last}
    for run in alone.values():
        other = alone.get(run.first_was)
        if other is not None and other.first_was == run.first and run.first < other.first:
            yield Finding(run.first, other.first, Tampering.SWAPPED)
            run.moved = other.moved = 0


def _between(runs: list[_Run]) -> Iterator[Finding]:
    """What happened between each run that still knows its numbers and the next one that does."""
    before, strange = runs[0], list[_Run]()
    for run in runs[1:]:
        if run.moved is None:
            strange.append(run)
            continue
        yield from _gap(before, strange, run)
        before, strange = run, []
    for run in strange:
        yield Finding(run.first, run.last, Tampering.CHANGED)
    yield from _holes([before, *strange])


def _gap(before: _Run, strange: list[_Run], after: _Run) -> Iterator[Finding]:
    there = sum(run.last - run.first + 1 for run in strange)
    expected = after.first_was - before.last_was - 1
    if there > expected:
        yield Finding(after.first - (there - expected), after.first - 1, Tampering.INSERTED)
    for run in strange:
        last = min(run.last, after.first - 1 - max(0, there - expected))
        if last >= run.first:
            yield Finding(run.first, last, Tampering.CHANGED)
    if there < expected and not strange:
        yield Finding(before.last_was + 1, after.first_was - 1, Tampering.REMOVED)
    elif there < expected:
        holes = list(_holes([before, *strange, after]))
        yield from holes or [Finding(after.first_was - (expected - there), after.first_was - 1, Tampering.REMOVED)]


def _replaced(unlinked: list[int], between: list[Finding]) -> Iterator[Finding]:
    """Rows that got another content with a hash to it: the next row follows the one that was there before."""
    inserted = [finding for finding in between if finding.what is Tampering.INSERTED]
    for sequence in unlinked:
        if not any(finding.first <= sequence <= finding.last for finding in inserted):
            yield Finding(sequence - 1, sequence - 1, Tampering.CHANGED)


def _holes(runs: list[_Run]) -> Iterator[Finding]:
    """Numbers that no row has."""
    for before, after in itertools.pairwise(runs):
        if after.first > before.last + 1:
            yield Finding(before.last + 1, after.first - 1, Tampering.REMOVED)
