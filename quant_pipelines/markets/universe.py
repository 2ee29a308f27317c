"""Who belongs to a market, and when. Names that left stay in history: a universe of survivors flatters every model."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from quant_pipelines.calendars import Session
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.markets.market import Universe

COLUMNS = ("symbol", "listed", "delisted", "index", "member_from", "member_to")
_FIRST_ROW = 2


class BadUniverse(OperatorActionRequired):
    """A universe file with mistakes, all of them listed."""

    code = "QP123"

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        super().__init__(
            f"The universe file {path} cannot be used. Correct it and try again:\n"
            + "\n".join(f"  {problem}" for problem in problems)
        )


class Listed(Protocol):
    """What a source knows of a symbol's life."""

    @property
    def symbol(self) -> str: ...

    @property
    def listed(self) -> Session: ...

    @property
    def delisted(self) -> Session | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """One row of a universe file: a symbol's listing, and a span in which it belonged to an index."""

    symbol: str
    listed: Session
    delisted: Session | None
    index: str
    member_from: Session | None
    member_to: Session | None

    def covers(self, session: Session) -> bool:
        """Dates count as whole days, so that an hour of the last day still belongs to it."""
        day = session.replace(hour=0, minute=0)
        return (
            max(self.listed, self.member_from or self.listed) <= day
            and (self.delisted is None or day <= self.delisted)
            and (self.member_to is None or day <= self.member_to)
        )


def members(universe: Universe, listings: Iterable[Listed], session: Session) -> tuple[str, ...]:
    """The symbols that belong to the universe in a session, sorted.

    A dated file decides by its own dates. A plain list, or none, leaves it to the source's listings.
    """
    if universe.file is not None:
        return tuple(sorted({row.symbol for row in memberships(universe.file) if row.covers(session)}))
    wanted = None if universe.symbols is None else frozenset(universe.symbols)
    return tuple(sorted({each.symbol for each in listings if _is_in(each, wanted, session)}))


def _is_in(listing: Listed, wanted: frozenset[str] | None, session: Session) -> bool:
    is_listed = listing.listed <= session and (listing.delisted is None or session <= listing.delisted)
    return is_listed and (wanted is None or listing.symbol in wanted)


def universe_symbols(universe: Universe, listings: Iterable[Listed]) -> tuple[str, ...]:
    """Every symbol that belongs at any time, delisted ones included, sorted."""
    if universe.file is not None:
        return tuple(sorted({row.symbol for row in memberships(universe.file)}))
    if universe.symbols is not None:
        return tuple(sorted(universe.symbols))
    return tuple(sorted({listing.symbol for listing in listings}))


def unknown_symbols(universe: Universe, listings: Iterable[Listed]) -> tuple[str, ...]:
    """Symbols that the universe wants and the source has never heard of."""
    known = list(listings)
    return tuple(sorted(set(universe_symbols(universe, known)) - {each.symbol for each in known}))


def memberships(path: Path) -> tuple[Membership, ...]:
    """The rows of a universe file, read again only when the file has changed."""
    try:
        stamp = path.stat()
    except OSError as error:
        raise BadUniverse(path, [f"it cannot be read ({error.strerror}); correct universe.file"]) from error
    return _memberships(path, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=16)
def _memberships(path: Path, changed: int, size: int) -> tuple[Membership, ...]:  # noqa: ARG001  both are the cache's key
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.reader(lines, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadUniverse(path, [f"it is no UTF-8 CSV file ({error}); save it as one"]) from error
    if not rows or tuple(rows[0]) != COLUMNS:
        found = ",".join(rows[0]) if rows else "nothing"
        raise BadUniverse(path, [f"line 1: found {found}, expected the header {','.join(COLUMNS)}"])
    problems: list[str] = []
    numbered = [(line, row) for line, row in enumerate(rows[1:], _FIRST_ROW) if row]
    found_rows = [(line, read) for line, row in numbered if (read := _row(line, row, problems)) is not None]
    problems.extend(_contradictions(found_rows))
    if not numbered:
        problems.append("line 2: found no row, expected at least one symbol")
    if problems:
        raise BadUniverse(path, problems)
    return tuple(row for _, row in found_rows)


def _row(line: int, cells: Sequence[str], problems: list[str]) -> Membership | None:
    if len(cells) != len(COLUMNS):
        problems.append(f"line {line}: found {len(cells)} cells, expected {len(COLUMNS)}")
        return None
    symbol, index = cells[0].strip(), cells[3].strip()
    dates = {
        name: _date(line, name, cells[COLUMNS.index(name)].strip(), problems) for name in COLUMNS if name in _DATES
    }
    if not symbol:
        problems.append(f"line {line}: the symbol is missing")
        return None
    listed = dates["listed"]
    if listed is None:
        problems.append(f"line {line}: {symbol} needs the date it was listed, written 2020-01-31")
        return None
    row = Membership(
        symbol=symbol,
        listed=listed,
        delisted=dates["delisted"],
        index=index,
        member_from=dates["member_from"],
        member_to=dates["member_to"],
    )
    problems.extend(f"line {line}: {symbol} {problem}" for problem in _disorder(row))
    return row


_DATES = frozenset({"listed", "delisted", "member_from", "member_to"})


def _date(line: int, name: str, text: str, problems: list[str]) -> Session | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d")
    except ValueError:
        problems.append(f"line {line}: found {text!r} as {name}, expected a date written 2020-01-31, or nothing")
        return None


def _disorder(row: Membership) -> Iterator[str]:
    begins, ends = row.member_from or row.listed, row.member_to or row.delisted
    if row.delisted is not None and row.delisted < row.listed:
        yield f"was delisted on {row.delisted.date()}, before it was listed on {row.listed.date()}"
    elif begins < row.listed or (row.delisted is not None and ends is not None and ends > row.delisted):
        yield "is a member while it is not listed; keep the membership within the listing"
    if ends is not None and ends < begins:
        yield f"stops being a member on {ends.date()}, before it begins on {begins.date()}"


def _contradictions(rows: Sequence[tuple[int, Membership]]) -> Iterator[str]:
    ordered = sorted(rows, key=lambda each: (each[1].symbol, each[1].index, each[1].member_from or each[1].listed))
    for (above, before), (line, after) in pairwise(ordered):
        if before.symbol != after.symbol:
            continue
        if (before.listed, before.delisted) != (after.listed, after.delisted):
            yield f"line {line}: {after.symbol} has other listing dates than on line {above}; use one pair"
        ends = before.member_to or before.delisted
        if before.index == after.index and (ends is None or (after.member_from or after.listed) <= ends):
            yield f"line {line}: {after.symbol} overlaps with its span on line {above}; end one before the other begins"
