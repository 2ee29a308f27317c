"""The bars of one document in memory, and the little that is kept of it for good."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from quant_pipelines.sources.files.aliases import ADJUSTED_CLOSE, FACTOR
from quant_pipelines.sources.files.columns import Wanted
from quant_pipelines.sources.files.refusals import Unreadable

Numbers = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
# What a row's price must be multiplied by, up to a constant per symbol; see factors.
RATIO = "ratio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a document is written: what was found, not what was hoped for."""

    container: str
    encoding: str
    delimiter: str
    lines_above: int
    header_lines: int
    lines_below: int
    columns: tuple[tuple[str, str], ...]
    ignored: tuple[str, ...]
    dates: str
    order: str
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Bars by ascending session label (microseconds since 1970). NaN is a missing value.

    `codes` says per row which of `symbols` it belongs to; None where there is only one.
    """

    sessions: Labels
    symbols: tuple[str, ...]
    codes: Codes | None
    values: Mapping[str, Numbers]

    def __len__(self) -> int:
        return self.sessions.size

    @property
    def nbytes(self) -> int:
        codes = 0 if self.codes is None else self.codes.nbytes
        return self.sessions.nbytes + codes + sum(column.nbytes for column in self.values.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is remembered of a document after its rows are forgotten.

    `starts` holds each symbol's first label, `bases` the label and value of its first known ratio.
    """

    place: str
    dialect: Dialect
    rows: int
    first: int | None
    last: int | None
    starts: Mapping[str, int] = field(default_factory=dict)
    bases: Mapping[str, tuple[int, float]] = field(default_factory=dict)


def in_order(rows: Rows) -> tuple[Rows, str]:
    """The rows by ascending label, equal labels as they stood, and how they stood."""
    steps = np.diff(rows.sessions)
    if not (steps < 0).any():
        return rows, "oldest first"
    order = np.argsort(rows.sessions, kind="stable")
    moved = replace(
        rows,
        sessions=rows.sessions[order],
        codes=None if rows.codes is None else rows.codes[order],
        values={name: column[order] for name, column in rows.values.items()},
    )
    return moved, "mixed" if (steps > 0).any() else "newest first"


def plain_units(column: Numbers, unit: float) -> Numbers:
    """Values of the file in plain shares or currency."""
    if unit == 1.0:
        return column
    parts = round(1 / unit)
    # Division by 10000 is rounded once; multiplication by 0.0001, itself no exact number, twice.
    if unit < 1.0 and abs(parts * unit - 1) < 1e-12:  # noqa: PLR2004  # a unit written in decimals
        return column / parts
    return column * unit


def bar_values(columns: Mapping[str, Numbers], wanted: Wanted) -> dict[str, Numbers]:
    """The fields of a bar in plain units, and the ratio of adjustment where the file has one."""
    values = {name: plain_units(column, wanted.unit(name)) for name, column in columns.items()}
    adjusted, factor = values.pop(ADJUSTED_CLOSE, None), values.pop(FACTOR, None)
    if adjusted is not None and ADJUSTED_CLOSE in wanted.extra:
        values[RATIO] = positive_ratio(adjusted, values["close"])
    if factor is not None and FACTOR in wanted.extra:
        values[RATIO] = positive_ratio(factor, np.ones_like(factor))
    return values


def positive_ratio(above: Numbers, below: Numbers) -> Numbers:
    """above / below where both are positive, else unknown."""
    ratio = np.full(above.size, np.nan)
    np.divide(above, below, out=ratio, where=(above > 0) & (below > 0))
    return ratio


def finite_numbers(column: pa.ChunkedArray, name: str) -> Numbers:
    """A float column as numbers with NaN for null; infinities are refused."""
    numbers = column.to_numpy()
    infinite = np.isinf(numbers)
    if infinite.any():
        raise Unreadable(f"{name} is infinite or too large. Correct the value.", row=int(np.argmax(infinite)))
    return numbers


def summarise(place: str, rows: Rows, dialect: Dialect) -> Summary:
    """The summary of a document whose rows are in order."""
    count = len(rows)
    return Summary(
        place=place,
        dialect=dialect,
        rows=count,
        first=int(rows.sessions[0]) if count else None,
        last=int(rows.sessions[-1]) if count else None,
        starts={symbol: int(rows.sessions[at]) for symbol, at in _first_of_each(rows, np.arange(count)).items()},
        bases=_bases(rows),
    )


def _bases(rows: Rows) -> dict[str, tuple[int, float]]:
    ratio = rows.values.get(RATIO)
    if ratio is None:
        return {}
    known = np.flatnonzero(~np.isnan(ratio))
    return {symbol: (int(rows.sessions[at]), float(ratio[at])) for symbol, at in _first_of_each(rows, known).items()}


def _first_of_each(rows: Rows, among: npt.NDArray[np.int64]) -> dict[str, int]:
    """Each symbol's earliest row of those given; rows are in order of their sessions."""
    if among.size == 0:
        return {}
    if rows.codes is None:
        return {rows.symbols[0]: int(among[0])}
    codes, first = np.unique(rows.codes[among], return_index=True)
    return {rows.symbols[code]: int(among[at]) for code, at in zip(codes.tolist(), first.tolist(), strict=True)}
