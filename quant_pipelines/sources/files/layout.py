"""What a text document looks like, found out from its first and last lines."""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from quant_pipelines.sources.files.aliases import DATE, DELIMITERS, REMARK_MARKS, SYMBOL_COLUMN
from quant_pipelines.sources.files.columns import Wanted, choose_columns, known_field
from quant_pipelines.sources.files.dates import forms_of
from quant_pipelines.sources.files.refusals import Unreadable

# A title above the header may take this many lines, remarks below the rows this many.
TITLE_LINES = 3
REMARK_LINES = 3
_HEAD_BYTES = 1 << 16
_YFINANCE_LINES = 3
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where things stand in a text document. Line numbers count from 1, as editors show them."""

    delimiter: str
    names: tuple[str, ...]
    positions: dict[str, int]
    lines_above: int
    header_lines: int
    ticker: str | None = None

    @property
    def width(self) -> int:
        return len(self.names)

    @property
    def first_row_line(self) -> int:
        return self.lines_above + self.header_lines + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The rows of a UTF-8 document, from `begin` to `end`, and how many remarks stood below them.

    Positions rather than a slice, which would be a second copy of a large file.
    """

    data: bytes
    begin: int
    end: int
    lines_below: int

    def __len__(self) -> int:
        return self.end - self.begin

    def __contains__(self, part: bytes) -> bool:
        return self.data.find(part, self.begin, self.end) >= 0

    def cut(self) -> bytes:
        """The rows by themselves, for the slow paths."""
        return self.data[self.begin : self.end]

    def count_lines(self) -> int:
        return self.data.count(b"\n", self.begin, self.end) + (not self.data.endswith(b"\n", self.begin, self.end))


def as_utf8(data: bytes, declared: str | None) -> tuple[bytes, str]:
    """The document in UTF-8 without a mark, and the encoding it came in; sure, declared or refused."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            text = _decoded(data, encoding)
            return _checked(text.removeprefix("\ufeff").encode()), f"{encoding} with mark"
    if declared is not None:
        return _checked(_decoded(data, declared).encode()), declared
    if data.isascii():
        return _checked(data), "ascii"
    try:
        data.decode()
    except UnicodeDecodeError:
        return _checked(_decoded_chinese(data).encode()), "gb18030"
    return _checked(data), "utf-8"


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unreadable(
            f"bytes that are no {encoding} text. Declare the file's encoding, or deliver it in UTF-8.",
            where=f"line {line}",
        ) from error


def _decoded_chinese(data: bytes) -> str:
    """GB18030 decodes nearly anything, so it is believed only where it turns a header into known Chinese words."""
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return _decoded(data, "utf-8")
    for line in text[:_HEAD_BYTES].splitlines()[: TITLE_LINES + 1]:
        known = [known_field(cell) for cell in re.split(r"[,;|\t]", line) if not cell.isascii()]
        if DATE in known and "close" in known:
            return text
    return _decoded(data, "utf-8")


def _checked(data: bytes) -> bytes:
    """Text without NUL bytes and with one kind of line end."""
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise Unreadable("a NUL byte: a damaged or binary file. Deliver it again.", where=f"line {line}")
    if b"\r" not in data or data.count(b"\r") == data.count(b"\r\n"):
        return data
    if b"\n" not in data:
        return data.replace(b"\r", b"\n")
    at = re.search(rb"\r(?!\n)", data)
    line = data.count(b"\n", 0, at.start() if at else 0) + 1
    raise Unreadable("a carriage return in the middle of a line. Deliver it again.", where=f"line {line}")


def find_layout(data: bytes, wanted: Wanted) -> Layout:
    """The header, its delimiter and what its columns mean."""
    lines = _head_lines(data)
    if not any(line.strip() for line in lines):
        raise Unreadable("nothing but blank lines; expected at least a header line. Deliver it again.")
    if wanted.by_position:
        return _headless_layout(lines, wanted)
    candidate = _most_telling(lines, wanted)
    if candidate is None:
        raise _no_header(lines)
    above, delimiter = candidate
    _check_titles(lines[:above], delimiter)
    names = split_line(lines[above], delimiter)
    if is_three_line_header(lines[above:], delimiter):
        return _three_line_layout(lines[above : above + _YFINANCE_LINES], delimiter, above, wanted)
    return Layout(
        delimiter=delimiter,
        names=tuple(names),
        positions=choose_columns(names, wanted),
        lines_above=above,
        header_lines=1,
    )


def _head_lines(data: bytes) -> list[str]:
    head = data[:_HEAD_BYTES]
    if len(data) > _HEAD_BYTES:
        head = head[: head.rfind(b"\n") + 1] or head
    return head.decode(errors="replace").split("\n")


def split_line(line: str, delimiter: str) -> list[str]:
    """The cells of one line, without the blanks around them."""
    return [cell.strip() for cell in next(csv.reader([line.rstrip("\r")], delimiter=delimiter), [])]


def _most_telling(lines: Sequence[str], wanted: Wanted) -> tuple[int, str] | None:
    """Line and delimiter with the most known column names, if there are at least two of them."""
    declared = {name.strip(): known for known, name in wanted.declared.items()}
    best, found = 1, None
    for number, line in enumerate(lines[: TITLE_LINES + 1]):
        for delimiter in DELIMITERS:
            known = {declared.get(cell, known_field(cell)) for cell in split_line(line, delimiter)} - {None}
            if len(known) > best:
                best, found = len(known), (number, delimiter)
    return found


def _check_titles(titles: Sequence[str], delimiter: str) -> None:
    for number, line in enumerate(titles, start=1):
        if any(forms_of(cell) for cell in split_line(line, delimiter)[:2]):
            raise Unreadable("a row above the header. Deliver the header first.", where=f"line {number}")


def _no_header(lines: Sequence[str]) -> Unreadable:
    first = next((line for line in lines if line.strip()), "")
    looks_like_row = any(
        forms_of(cell) for delimiter in DELIMITERS for cell in split_line(first, delimiter)[:2] if cell
    )
    if looks_like_row:
        return Unreadable(
            "no header line: the first line is a row already. "
            "Declare every column by its position from 1, e.g. columns: {date: '1', open: '2', ...}.",
            where="line 1",
        )
    return Unreadable(
        f"no header with known column names in the first {TITLE_LINES + 1} lines, which begin {first[:60]!r}. "
        "Declare columns, or exclude the file by pattern."
    )


def _headless_layout(lines: Sequence[str], wanted: Wanted) -> Layout:
    positions = {known: int(place) - 1 for known, place in wanted.declared.items()}
    first = next(line for line in lines if line.strip())
    for delimiter in DELIMITERS:
        cells = split_line(first, delimiter)
        if len(cells) > max(positions.values()):
            _check_is_row(cells, positions)
            names = tuple(str(place) for place in range(1, len(cells) + 1))
            return Layout(delimiter=delimiter, names=names, positions=positions, lines_above=0, header_lines=0)
    raise Unreadable(
        f"columns declares position {max(positions.values()) + 1}, but the first line {first[:60]!r} has fewer. "
        "Correct the positions.",
        where="line 1",
    )


def _check_is_row(cells: Sequence[str], positions: dict[str, int]) -> None:
    if known_field(cells[positions[DATE]]) is not None or known_field(cells[positions["close"]]) is not None:
        raise Unreadable(
            f"columns declares positions, but the first line is a header: {list(cells)[:8]}. "
            "Declare columns by name, or leave them to be recognised.",
            where="line 1",
        )


def is_three_line_header(lines: Sequence[str], delimiter: str) -> bool:
    """yfinance's table with two column levels: Price, Ticker and Date begin its first three lines."""
    if len(lines) < _YFINANCE_LINES:
        return False
    first_cells = [(split_line(line, delimiter) or [""])[0].casefold() for line in lines[:_YFINANCE_LINES]]
    return first_cells == ["price", "ticker", "date"]


def _three_line_layout(lines: Sequence[str], delimiter: str, above: int, wanted: Wanted) -> Layout:
    fields, tickers, dates = (split_line(line, delimiter) for line in lines)
    held = {ticker for ticker in tickers[1:] if ticker}
    if len(held) != 1:
        raise Unreadable(
            f"tables beside each other, for the symbols {sorted(held)}. Deliver one file per symbol.",
            where=f"line {above + 2}",
        )
    names = [dates[0], *fields[1:]]
    if SYMBOL_COLUMN in {known_field(name) for name in names}:
        raise Unreadable("a Ticker line and a symbol column. Deliver one of them.", where=f"line {above + 1}")
    return Layout(
        delimiter=delimiter,
        names=tuple(names),
        positions=choose_columns(names, wanted),
        lines_above=above,
        header_lines=_YFINANCE_LINES,
        ticker=held.pop(),
    )


def find_body(data: bytes, layout: Layout) -> Body:
    """The rows between the header and any remarks below them."""
    begin = 0
    for _ in range(layout.lines_above + layout.header_lines):
        line_end = data.find(b"\n", begin)
        begin = len(data) if line_end < 0 else line_end + 1
    end, below = len(data), 0
    for start, line in _lines_from_the_end(data, begin):
        if line and not _is_remark(line, layout):
            break
        end, below = start, below + bool(line)
        if below > REMARK_LINES:
            break
    return Body(data=data, begin=begin, end=end, lines_below=below)


def _lines_from_the_end(data: bytes, begin: int) -> Iterator[tuple[int, bytes]]:
    end = len(data)
    while end > begin:
        start = max(data.rfind(b"\n", begin, end - 1) + 1, begin)
        yield start, data[start:end].strip()
        end = start


def _is_remark(line: bytes, layout: Layout) -> bool:
    if line.count(layout.delimiter.encode()) >= layout.width - 1:
        return False
    text = line.decode(errors="replace").casefold()
    return text.startswith(REMARK_MARKS[0]) or any(mark in text for mark in REMARK_MARKS[1:])
