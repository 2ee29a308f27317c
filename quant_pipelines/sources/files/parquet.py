"""Parquet documents: the same fields, already typed."""

# pyarrow.compute makes its functions when it is imported, so no checker finds them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from quant_pipelines.sources.files import dates
from quant_pipelines.sources.files.aliases import DATE, NUMBERS, SYMBOL_COLUMN
from quant_pipelines.sources.files.columns import choose_columns
from quant_pipelines.sources.files.documents import Document
from quant_pipelines.sources.files.layout import Layout
from quant_pipelines.sources.files.refusals import Unreadable
from quant_pipelines.sources.files.rows import Codes, Dialect, Numbers, Rows, bar_values, finite_numbers, in_order
from quant_pipelines.sources.files.text import Reading


def read_parquet(document: Document, reading: Reading) -> tuple[Rows, Dialect]:
    """The bars of one Parquet document."""
    try:
        with pq.ParquetFile(pa.BufferReader(document.data), page_checksum_verification=True) as file:
            layout = _layout(file.schema_arrow.names, reading)
            table = file.read(columns=[layout.names[at] for at in layout.positions.values()])
            table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Unreadable(f"damaged or cut-off Parquet ({error}). Deliver it again.") from error
    try:
        rows, form = _read(table, layout, document, reading)
    except Unreadable as fault:
        where = None if fault.row is None else f"row {fault.row + 1}"
        raise Unreadable(fault.reason, where=fault.where or where) from fault
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise Unreadable(f"damaged Parquet ({error}). Deliver it again.") from error
    rows, order = in_order(rows)
    dialect = Dialect(
        container=document.container,
        encoding="parquet",
        delimiter="",
        lines_above=0,
        header_lines=0,
        lines_below=0,
        columns=tuple((name, layout.names[at]) for name, at in sorted(layout.positions.items())),
        ignored=tuple(name for at, name in enumerate(layout.names) if at not in layout.positions.values()),
        dates=form,
        order=order if len(rows) else "no rows",
        symbol=reading.symbol.origin(layout),
    )
    return rows, dialect


def _layout(names: list[str], reading: Reading) -> Layout:
    if len(set(names)) < len(names):
        raise Unreadable("two columns have the same name. Deliver each once.")
    positions = choose_columns(names, reading.wanted)
    return Layout(delimiter="", names=tuple(names), positions=positions, lines_above=0, header_lines=0)


def _read(table: pa.Table, layout: Layout, document: Document, reading: Reading) -> tuple[Rows, str]:
    columns = {name: table[layout.names[at]] for name, at in layout.positions.items()}
    if not table.num_rows:
        symbols = reading.symbol.for_no_rows(document, layout)
        return Rows(sessions=np.empty(0, np.int64), symbols=symbols, codes=None, values={}), "no rows"
    stamps = _stamps(columns[DATE], reading)
    numbers = {name: _numbers(column, name) for name, column in columns.items() if name in NUMBERS}
    symbols, codes = _symbols(columns, document, layout, reading)
    rows = Rows(
        sessions=dates.session_labels(stamps, reading.calendar),
        symbols=symbols,
        codes=codes,
        values=bar_values(numbers, reading.wanted),
    )
    return rows, stamps.form


def _numbers(column: pa.ChunkedArray, name: str) -> Numbers:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        if pa.types.is_null(kind):
            return np.full(len(column), np.nan)
        raise Unreadable(f"{name} is a column of {kind}, expected numbers. Write it as numbers.")
    # Not `safe`: volumes above 2**53 lose their last digit in any float, here and everywhere after.
    return finite_numbers(column.cast(pa.float64(), safe=False), name)


def _stamps(column: pa.ChunkedArray, reading: Reading) -> dates.Stamps:
    values = column.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if values.null_count:
        row = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
        raise Unreadable("no date in this row. Every bar needs one.", row=row)
    kinds: list[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], dates.Stamps]]] = [
        (pa.types.is_date, lambda days: dates.date_stamps(days.cast(pa.date32()))),
        (pa.types.is_timestamp, _timestamp_stamps),
        (pa.types.is_integer, lambda numbers: _integer_stamps(numbers, reading)),
        (
            _is_text,
            lambda texts: dates.read_stamps(pc.utf8_trim_whitespace(texts.cast(pa.string())), reading.date_format),
        ),
    ]
    for fits, read in kinds:
        if fits(values.type):
            return read(values)
    raise Unreadable(f"the date is a column of {values.type}. Write it as dates, timestamps or text.")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _integer_stamps(numbers: pa.Array, reading: Reading) -> dates.Stamps:
    if reading.date_format is not None:
        return dates.read_stamps(numbers.cast(pa.string()), reading.date_format)
    return dates.compact_stamps(numbers.cast(pa.int64()).to_numpy())


def _timestamp_stamps(values: pa.Array) -> dates.Stamps:
    kind = pa.timestamp("us", values.type.tz)
    try:
        # Nanoseconds may lose digits, which no bar needs; coarser units must not overflow.
        instants = values.cast(kind, safe=values.type.unit != "ns").cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid as error:
        raise Unreadable(f"a date that is out of reach ({error}). Correct it.") from error
    dates.check_years(instants)
    zone = values.type.tz
    if zone is None:
        return dates.Stamps(local=instants, has_time=True, form="timestamp")
    local = dates.in_zone(instants, zone)
    return dates.Stamps(local=local, offset=local - instants, has_time=True, form=f"timestamp in {zone}")


def _symbols(
    columns: dict[str, pa.ChunkedArray], document: Document, layout: Layout, reading: Reading
) -> tuple[tuple[str, ...], Codes | None]:
    column = columns.get(SYMBOL_COLUMN)
    if column is None:
        return (reading.symbol.of_document(document, layout),), None
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if not _is_text(kind):
        raise Unreadable(f"the symbol is a column of {kind}: leading zeros may be lost. Write it as text.")
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise Unreadable("no symbol in this row. Every bar needs one.", row=row)
    return reading.symbol.of_column(column.cast(pa.string()).dictionary_encode(), document, layout)
