"""Text documents: sniffed, read by arrow with the types known, and held to account for every line."""

# pyarrow.compute makes its functions when it is imported, so no checker finds them.
# pyright: reportAttributeAccessIssue=false

import re
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from quant_pipelines.calendars import Calendar
from quant_pipelines.sources.files import dates
from quant_pipelines.sources.files.aliases import (
    ADJUSTED_CLOSE,
    DATE,
    DELIMITERS,
    FACTOR,
    NULLS,
    NUMBERS,
    SYMBOL_COLUMN,
)
from quant_pipelines.sources.files.columns import Wanted
from quant_pipelines.sources.files.documents import Document
from quant_pipelines.sources.files.faults import find_fault, line_of_row
from quant_pipelines.sources.files.layout import Body, Layout, as_utf8, find_body, find_layout, split_line
from quant_pipelines.sources.files.refusals import Unreadable
from quant_pipelines.sources.files.rows import Codes, Dialect, Rows, bar_values, finite_numbers, in_order
from quant_pipelines.sources.files.symbols import SymbolRule

# Beyond this the file is worth several threads of its own.
_LARGE = 8 << 20
_QUOTE, _LINE_END = ord('"'), ord("\n")
# A quotation mark with something on both sides of it that ends no cell.
_QUOTE_INSIDE = {mark: re.compile(rb'[^"\r\n%b]"[^"\r\n%b]' % ((re.escape(mark.encode()),) * 2)) for mark in DELIMITERS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What every document of one source is read with."""

    wanted: Wanted
    calendar: Calendar
    symbol: SymbolRule
    date_format: str | None = None
    encoding: str | None = None
    # Files of one vendor share their header: it is understood once. Keys are header lines.
    known_headers: dict[bytes, Layout] = field(default_factory=dict)


def read_text(document: Document, reading: Reading) -> tuple[Rows, Dialect]:
    """The bars of one text document."""
    data, encoding = as_utf8(document.data, reading.encoding)
    layout = _layout(data, reading)
    body = find_body(data, layout)
    try:
        rows, form = _read_body(body, layout, document, reading)
    except Unreadable as fault:
        raise _on_its_line(fault, body, layout) from fault
    rows, order = in_order(rows)
    dialect = Dialect(
        container=document.container,
        encoding=encoding,
        delimiter=layout.delimiter,
        lines_above=layout.lines_above,
        header_lines=layout.header_lines,
        lines_below=body.lines_below,
        columns=tuple((name, layout.names[at]) for name, at in sorted(layout.positions.items())),
        ignored=tuple(name for at, name in enumerate(layout.names) if at not in layout.positions.values()),
        dates=form,
        order=order if len(rows) else "no rows",
        symbol=reading.symbol.origin(layout),
    )
    return rows, dialect


def _on_its_line(fault: Unreadable, body: Body, layout: Layout) -> Unreadable:
    if fault.row is None:
        return fault
    return Unreadable(fault.reason, where=f"line {line_of_row(body.cut(), fault.row, layout)}")


def _layout(data: bytes, reading: Reading) -> Layout:
    first_line = data[: data.find(b"\n") + 1]
    known = reading.known_headers.get(first_line)
    if known is not None:
        return known
    layout = find_layout(data, reading.wanted)
    if layout.lines_above == 0 and layout.header_lines == 1 and first_line:
        reading.known_headers[first_line] = layout
    return layout


def _read_body(body: Body, layout: Layout, document: Document, reading: Reading) -> tuple[Rows, str]:
    if not body:
        symbols = reading.symbol.for_no_rows(document, layout)
        return Rows(sessions=np.empty(0, np.int64), symbols=symbols, codes=None, values={}), "no rows"
    table, stamps = _parsed(body, layout, reading)
    columns = {name: finite_numbers(table[name], name) for name in NUMBERS if name in table.column_names}
    symbols, codes = _symbols(table, document, layout, reading)
    rows = Rows(
        sessions=dates.session_labels(stamps, reading.calendar),
        symbols=symbols,
        codes=codes,
        values=bar_values(columns, reading.wanted),
    )
    return rows, stamps.form


def _parsed(body: Body, layout: Layout, reading: Reading) -> tuple[pa.Table, dates.Stamps]:
    date_type = _date_type(body, layout, reading)
    try:
        table = _arrow_table(body, layout, date_type, reading.wanted)
    except pa.ArrowInvalid as error:
        table = _second_attempt(body, layout, reading, date_type, error)
    _account_for_every_line(body, table.num_rows, layout)
    return table, _stamps(table[DATE], reading)


def _second_attempt(
    body: Body, layout: Layout, reading: Reading, date_type: pa.DataType, error: pa.ArrowInvalid
) -> pa.Table:
    """Only the dates may be at fault here: another form may fit them all, or one of them is named."""
    fault = find_fault(body.cut(), layout)
    if fault is not None:
        raise fault from error
    if date_type != pa.string():
        try:
            return _arrow_table(body, layout, pa.string(), reading.wanted)
        except pa.ArrowInvalid as again:
            error = again
    raise Unreadable(f"cannot be read as rows of columns ({error}). Deliver it again.") from error


def _date_type(body: Body, layout: Layout, reading: Reading) -> pa.DataType:
    """Two forms are common enough to be read without a detour through text."""
    if reading.date_format is not None:
        return pa.string()
    line = (
        body.data[body.begin : min(body.end, body.begin + (1 << 12))]
        .lstrip(b"\r\n")
        .split(b"\n", 1)[0]
        .decode(errors="replace")
    )
    cells = split_line(line, layout.delimiter)
    place = layout.positions[DATE]
    forms = dates.forms_of(cells[place]) if len(cells) > place else []
    names = [form.name for form in forms]
    if dates.ISO in names:
        return pa.date32()
    return pa.int64() if dates.COMPACT in names else pa.string()


def _arrow_table(body: Body, layout: Layout, date_type: pa.DataType, wanted: Wanted) -> pa.Table:
    unused = {ADJUSTED_CLOSE, FACTOR} - set(wanted.extra)
    fields = [name for name in layout.positions if name not in unused]
    names = [f"column {position}" for position in range(layout.width)]
    for name in fields:
        names[layout.positions[name]] = name
    types: dict[str, pa.DataType] = dict.fromkeys(fields, pa.float64())
    types[DATE] = date_type
    if SYMBOL_COLUMN in types:
        types[SYMBOL_COLUMN] = pa.dictionary(pa.int32(), pa.string())
    large = len(body) > _LARGE
    return csv.read_csv(
        pa.BufferReader(pa.py_buffer(body.data).slice(body.begin, len(body))),
        read_options=csv.ReadOptions(
            column_names=names, use_threads=large, block_size=_LARGE if large else max(len(body), 1 << 10)
        ),
        parse_options=csv.ParseOptions(delimiter=layout.delimiter),
        convert_options=csv.ConvertOptions(
            column_types=types, include_columns=fields, null_values=list(NULLS), strings_can_be_null=False
        ),
    )


def _account_for_every_line(body: Body, rows: int, layout: Layout) -> None:
    """As many rows as lines, or a quoted text has swallowed some of them."""
    if b'"' in body and (_odd_quotes(body) or _QUOTE_INSIDE[layout.delimiter].search(body.data, body.begin, body.end)):
        raise find_fault(body.cut(), layout) or Unreadable("quotation marks that do not match. Deliver it again.")
    lines = body.count_lines()
    if lines != rows and sum(1 for line in body.cut().split(b"\n") if line.rstrip(b"\r")) != rows:
        raise find_fault(body.cut(), layout) or Unreadable(
            f"{lines} lines make {rows} rows. Correct the quotation marks."
        )


def _odd_quotes(body: Body) -> bool:
    """True where a line opens a quotation that it does not close; arrow lets the last cell of a file do so."""
    characters = np.frombuffer(body.data, dtype=np.uint8, count=len(body), offset=body.begin)
    starts = np.concatenate([[0], np.flatnonzero(characters == _LINE_END) + 1])
    counts = np.add.reduceat(characters == _QUOTE, starts[starts < characters.size], dtype=np.int64)
    return bool((counts % 2).any())


def _stamps(column: pa.ChunkedArray, reading: Reading) -> dates.Stamps:
    values = column.combine_chunks()
    if values.null_count:
        row = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
        raise Unreadable("no date in this row. Every bar needs one.", row=row)
    if pa.types.is_date(values.type):
        return dates.date_stamps(values)
    if pa.types.is_integer(values.type):
        return dates.compact_stamps(values.to_numpy())
    return dates.read_stamps(pc.utf8_trim_whitespace(values), reading.date_format)


def _symbols(
    table: pa.Table, document: Document, layout: Layout, reading: Reading
) -> tuple[tuple[str, ...], Codes | None]:
    if SYMBOL_COLUMN not in table.column_names:
        return (reading.symbol.of_document(document, layout),), None
    return reading.symbol.of_column(table[SYMBOL_COLUMN], document, layout)
