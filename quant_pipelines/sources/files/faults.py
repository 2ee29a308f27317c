"""The slow path: a document that the fast reader refused is read again, cell by cell, to say where and why."""

import csv
import io
import re

from quant_pipelines.sources.files.aliases import DATE, NO_SYMBOL, NULLS, NUMBERS, SYMBOL_COLUMN
from quant_pipelines.sources.files.layout import Layout
from quant_pipelines.sources.files.refusals import Unreadable

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_REASONS = (
    (re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?"), "a number with thousands separators"),
    (re.compile(r"[+-]?\d{1,3}(\.\d{3})*,\d+"), "a number with a decimal comma"),
    (re.compile(r"[+-]?[$€£¥]\s?[\d,.]+|[\d,.]+\s?[$€£¥]"), "a number with a currency sign"),
    (re.compile(r"[+-]?[\d,.]+\s?([万亿手股元]+|[KMBkmb])"), "a number with a unit written behind it"),
    (re.compile(r"[+-]?[\d,.]+\s?%"), "a percentage"),
    (re.compile(r"[+-]?inf(inity)?", re.IGNORECASE), "infinite"),
)


def number_fault(text: str) -> str | None:
    """What is wrong with a cell that should hold a number or nothing; None if nothing is."""
    text = text.strip()
    if text in NULLS or _NUMBER.fullmatch(text):
        return None
    return next((reason for pattern, reason in _REASONS if pattern.fullmatch(text)), "no number")


def find_fault(body: bytes, layout: Layout) -> Unreadable | None:
    """The first cell or row that cannot be read for certain."""
    lines = csv.reader(io.StringIO(body.decode(), newline=""), delimiter=layout.delimiter, strict=True)
    before = 0
    try:
        for cells in lines:
            fault = _row_fault(cells, layout, spans_lines=lines.line_num > before + 1)
            if fault is not None:
                return Unreadable(fault, where=f"line {layout.first_row_line + before}")
            before = lines.line_num
    except csv.Error as error:
        return Unreadable(
            f"quotation marks that do not match ({error}). Deliver it again.",
            where=f"line {layout.first_row_line + before}",
        )
    return None


def _row_fault(cells: list[str], layout: Layout, *, spans_lines: bool) -> str | None:
    if spans_lines:
        return "a quoted text runs over the end of the line, so rows would be lost in it. Correct the quotation marks."
    if not cells:
        return None
    if len(cells) != layout.width:
        whole = "the header names" if layout.header_lines else "the first row has"
        return f"{len(cells)} cells where {whole} {layout.width}. Deliver the row complete."
    return _cells_fault(cells, layout)


def _cells_fault(cells: list[str], layout: Layout) -> str | None:
    if cells[layout.positions[DATE]].strip() in NULLS:
        return "no date in this row. Every bar needs one."
    symbol = layout.positions.get(SYMBOL_COLUMN)
    if symbol is not None and cells[symbol].strip() in NO_SYMBOL:
        return "no symbol in this row. Every bar needs one."
    for name in NUMBERS:
        position = layout.positions.get(name)
        reason = None if position is None else number_fault(cells[position])
        if reason is not None and position is not None:
            return f"{name} is {cells[position].strip()[:40]!r}, {reason}. Write plain numbers, e.g. 1234.56."
    return None


def line_of_row(body: bytes, row: int, layout: Layout) -> int:
    """The line on which a data row stands; blank lines are no rows."""
    seen = -1
    for number, line in enumerate(body.split(b"\n"), start=layout.first_row_line):
        seen += bool(line.rstrip(b"\r"))
        if seen == row:
            return number
    return layout.first_row_line
