"""Dated adjustment factors, whatever the vendor calls them: they start at 1, and no later event changes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quant_pipelines.digest import digest_bytes, digest_json
from quant_pipelines.markets.market import Adjustment
from quant_pipelines.sources.files.dates import civil_days
from quant_pipelines.sources.files.refusals import FileRefused, FilesMisconfigured, FilesMissing, Unreadable
from quant_pipelines.sources.files.rows import RATIO, Codes, Labels, Numbers, Summary

_DAY = 86_400_000_000
_LEAN_CELLS = (3, 4)
_DIGITS_OF_DATE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorTable:
    """One symbol's Lean factor file: up to and including a day, prices are multiplied by a ratio."""

    until: Labels
    ratio: Numbers

    def at(self, sessions: Labels) -> Numbers:
        """The ratio on each session; unknown before the file begins and after it ends."""
        days = sessions // _DAY * _DAY
        place = np.searchsorted(self.until, days)
        known = (place < self.until.size) & (days >= self.until[0])
        return np.where(known, self.ratio[np.minimum(place, self.until.size - 1)], np.nan)

    def base(self, start: int) -> float:
        """The ratio where the factor is 1: on the symbol's first session, or where the file begins."""
        return float(self.at(np.array([max(start, int(self.until[0]))]))[0])


def check_adjustment(adjustment: Adjustment) -> None:
    """Fields that the kind of adjustment needs, or has no use for."""
    by_file, by_column = (
        adjustment.kind == "factor_files",
        adjustment.kind in ("adjusted_close_column", "factor_column"),
    )
    if by_file != (adjustment.path is not None):
        raise FilesMisconfigured(
            f"adjustment {adjustment.kind} with path {adjustment.path}. "
            "Give path for factor_files, and for no other kind."
        )
    if adjustment.column is not None and not by_column:
        raise FilesMisconfigured(
            f"adjustment {adjustment.kind} has no use for column {adjustment.column!r}. "
            "Use adjusted_close_column or factor_column, or leave it away."
        )


def factor_files_digest(folder: Path) -> str:
    """A name for what the factor files say now."""
    return digest_json([[path.name, digest_bytes(path.read_bytes())] for path in factor_paths(folder)])


def factor_paths(folder: Path) -> list[Path]:
    """The factor files of a folder, by name."""
    if not folder.is_dir():
        raise FilesMissing(f"No folder of factor files at {folder}. Correct adjustment.path, or mount it.")
    return sorted(folder.glob("*.csv"))


def read_factor_table(path: Path) -> FactorTable:
    """One Lean factor file: date,price factor,split factor[,price], oldest first, no header."""
    lines = path.read_bytes().decode("utf-8", errors="replace").split()
    if not lines:
        raise FileRefused(path.name, "the factor file is empty. Deliver it again.")
    rows = [_lean_row(path.name, number, line) for number, line in enumerate(lines, start=1)]
    until = _days(path.name, [day for day, _ in rows])
    return FactorTable(until=until, ratio=np.array([ratio for _, ratio in rows]))


def _lean_row(place: str, number: int, line: str) -> tuple[int, float]:
    cells = line.split(",")
    try:
        day, price_factor, split_factor = int(cells[0]), float(cells[1]), float(cells[2])
    except (ValueError, IndexError):
        day, price_factor, split_factor = 0, 0.0, 0.0
    ratio = price_factor * split_factor
    if len(cells) not in _LEAN_CELLS or len(cells[0]) != _DIGITS_OF_DATE or not 0 < ratio < np.inf:
        raise FileRefused(
            place,
            f"{line[:40]!r} is no row of a Lean factor file. Expected date,price factor,split factor,price.",
            where=f"line {number}",
        )
    return day, ratio


def _days(place: str, written: Sequence[int]) -> Labels:
    numbers = np.array(written, dtype=np.int64)
    try:
        days = civil_days(numbers // 10_000, numbers // 100 % 100, numbers % 100) * _DAY
    except Unreadable as fault:
        raise FileRefused(place, fault.reason, where=f"line {(fault.row or 0) + 1}") from fault
    if (np.diff(days) <= 0).any():
        row = int(np.argmax(np.diff(days) <= 0))
        raise FileRefused(place, "factor rows must follow each other in time. Sort them.", where=f"line {row + 2}")
    return days


def starts_of(summaries: Sequence[Summary]) -> dict[str, int]:
    """Each symbol's first label over all its documents."""
    starts: dict[str, int] = {}
    for summary in summaries:
        for symbol, label in summary.starts.items():
            starts[symbol] = min(label, starts.get(symbol, label))
    return starts


def bases_of(summaries: Sequence[Summary]) -> dict[str, float]:
    """The ratio at which each symbol's factor is 1: its first known one over all its documents."""
    first: dict[str, tuple[int, float]] = {}
    for summary in summaries:
        for symbol, base in summary.bases.items():
            if symbol not in first or base[0] < first[symbol][0]:
                first[symbol] = base
    return {symbol: ratio for symbol, (_, ratio) in first.items()}


@dataclass(frozen=True, slots=True)
class Factors:
    """Turns what the documents say into the factor that every reader of bars expects."""

    adjustment: Adjustment

    def of_rows(
        self,
        values: Mapping[str, Numbers],
        sessions: Labels,
        codes: Codes,
        symbols: Sequence[str],
        summaries: Sequence[Summary],
    ) -> Numbers:
        """The factor of each row; NaN where nothing is known."""
        if self.adjustment.kind == "already_adjusted":
            return np.ones(sessions.size)
        if self.adjustment.kind == "raw":
            # Not 1: that would promise that there never was a split or dividend.
            return np.full(sessions.size, np.nan)
        if self.adjustment.path is not None:
            return self._from_files(self.adjustment.path, sessions, codes, symbols, starts_of(summaries))
        bases = bases_of(summaries)
        base = np.array([bases.get(symbol, np.nan) for symbol in symbols])
        return values[RATIO] / base[codes]

    def _from_files(
        self, folder: Path, sessions: Labels, codes: Codes, symbols: Sequence[str], starts: Mapping[str, int]
    ) -> Numbers:
        # Lean names its factor files in lower case.
        paths = {path.stem.lower(): path for path in factor_paths(folder)}
        factor = np.full(sessions.size, np.nan)
        order = np.argsort(codes, kind="stable")
        held, begins = np.unique(codes[order], return_index=True)
        for code, mine in zip((int(each) for each in held), np.split(order, begins[1:]), strict=True):
            path = paths.get(symbols[code].lower())
            if path is not None:
                table = read_factor_table(path)
                factor[mine] = table.at(sessions[mine]) / table.base(starts[symbols[code]])
        return factor
