"""Malformed files are refused by name, place and reason; the same file put right is read (R8)."""

import gzip
import io
import struct
import zipfile
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quant_pipelines.calendars import calendar_named
from quant_pipelines.errors import DataRejected
from quant_pipelines.markets.market import FilesSource
from quant_pipelines.sources.files import FileBars, FileRefused, FilesRefused, Limits
from quant_pipelines.sources.protocol import BarRequest

ALWAYS = BarRequest(first=datetime(1900, 1, 1), last=datetime(2100, 1, 1))
HEADER = "date,open,high,low,close,volume\n"
FIRST, SECOND = "2020-01-02,10,11,9,10.5,100\n", "2020-01-03,10.5,12,10,11,200\n"
PLAIN = (HEADER + FIRST + SECOND).encode()
POSITIONS = {"date": "1", "open": "2", "high": "3", "low": "4", "close": "5", "volume": "6"}
SMALL = Limits(document_bytes=4_000, archive_bytes=6_000, members=3)


def text(*lines: str) -> bytes:
    return "\n".join(lines).encode() + b"\n"


def rows(*lines: str) -> bytes:
    return (HEADER + "".join(line + "\n" for line in lines)).encode()


def zipped(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def encrypted(data: bytes) -> bytes:
    """The archive with every member marked as encrypted."""
    changed = bytearray(data)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(signature) + offset
        flags = struct.unpack_from("<H", changed, at)[0]
        struct.pack_into("<H", changed, at, flags | 1)
    return bytes(changed)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def parquet(**changed: Any) -> bytes:
    columns: dict[str, Any] = {
        "date": pa.array([datetime(2020, 1, 2), datetime(2020, 1, 3)]),
        "open": [10.0, 10.5],
        "high": [11.0, 12.0],
        "low": [9.0, 10.0],
        "close": [10.5, 11.0],
        **changed,
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: column for name, column in columns.items() if column is not None}), buffer)
    return buffer.getvalue()


@dataclass(frozen=True)
class Case:
    """A malformed file, what its refusal must say, and the same file put right."""

    name: str
    bad: bytes
    says: str
    good: bytes = PLAIN
    file: str = "A.csv"
    options: dict[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)


GOOD_ZIP = zipped(("a.csv", PLAIN))
YFINANCE = ("Price,Close,High,Low,Open,Volume", "Ticker,A,A,A,A,A", "Date,,,,,", "2020-01-02,10.5,11,9,10,100")
CHINESE = "日期,开盘,收盘,最高,最低,成交量"
CHINESE_ROW = "2020-01-02,10,10.5,11,9,100"
LATIN = "date,open,high,low,close,name\n2020-01-02,10,11,9,10.5,Nestl\xe9\n"

CASES = [
    # Nothing, or not a table.
    Case("empty file", b"", "empty (0 bytes)"),
    Case("blank lines only", b"\n\n  \n", "nothing but blank lines"),
    Case("byte-order mark only", b"\xef\xbb\xbf", "nothing but blank lines"),
    Case("web page", b"<!DOCTYPE html>\n<html><body>404</body></html>\n", "no header with known column names"),
    Case("json", b'{"date": "2020-01-02", "open": 10}\n', "no header with known column names"),
    Case("prose", b"quota exceeded, try again tomorrow\n", "no header with known column names"),
    Case("excel workbook named csv", GOOD_ZIP, "holds a zip archive or an Excel workbook"),
    Case("old excel workbook named csv", b"\xd0\xcf\x11\xe0\xa1\xb1", "old Excel workbook"),
    Case("gzip named csv", gzip.compress(PLAIN), "holds a gzip archive"),
    Case("parquet named csv", parquet(), "holds a Parquet file"),
    Case("pdf named csv", b"%PDF-1.7\n", "holds a PDF"),
    # Headers.
    Case("no header", (FIRST + SECOND).encode(), "no header line: the first line is a row already"),
    Case("no date column", text("open,high,low,close", "1,1,1,1"), "no column for date among"),
    Case("no close column", text("date,open,high,low", "2020-01-02,1,1,1"), "no column for close among"),
    Case("only a close", text("Date,Close", "2020-01-02,1"), "no column for open, high, low among"),
    Case("two closes", text("date,open,high,low,close,Close", FIRST.strip()), "'close' and 'Close' both mean close"),
    Case("two dates", text("日期,时间,open,high,low,close", "2020-01-02,1,1,1,1,1"), "both mean date"),
    Case("two symbols", text("date,open,high,low,close,code,ticker", "2020-01-02,1,1,1,1,A,A"), "both mean symbol"),
    Case("header deep below titles", b"a\nb\nc\nd\n" + PLAIN, "no header with known column names in the first 4"),
    Case("row above the header", FIRST.encode() + PLAIN, "line 1: a row above the header"),
    Case(
        "volume stated in lots",
        text(CHINESE + "(手)", CHINESE_ROW),
        "states units of 100, but units.volume is 1",
        good=text(CHINESE, CHINESE_ROW),
    ),
    Case(
        "declared column missing",
        PLAIN,
        "column 'Last', declared as close, is there 0 times",
        good=text("date,open,high,low,Last", "2020-01-02,1,1,1,1"),
        options={"columns": {"close": "Last"}},
    ),
    Case(
        "header where positions are declared",
        PLAIN,
        "line 1: columns declares positions, but the first line is a header",
        good=(FIRST + SECOND).encode(),
        options={"columns": POSITIONS},
    ),
    Case(
        "fewer columns than positions",
        b"2020-01-02,10,11\n",
        "declares position 6, but the first line",
        good=FIRST.encode(),
        options={"columns": POSITIONS},
    ),
    Case(
        "no adjusted close",
        PLAIN,
        "no column for adjusted_close among",
        good=text("date,open,high,low,close,Adj Close", "2020-01-02,1,1,1,1,1"),
        options={"adjustment": {"kind": "adjusted_close_column"}},
    ),
    Case(
        "yfinance with two symbols",
        text(YFINANCE[0], "Ticker,A,A,A,B,B", *YFINANCE[2:]),
        "symbols ['A', 'B']",
        good=text(*YFINANCE),
    ),
    # Rows.
    Case("short row", rows("2020-01-02,10,11,9,10.5"), "line 2: 5 cells where the header names 6"),
    Case("long row", rows(FIRST.strip(), "2020-01-03,1,1,1,1,1,1"), "line 3: 7 cells where the header names 6"),
    Case("cut off in the middle of a row", PLAIN[:-12], "line 3: 3 cells"),
    Case("row of nothing but blanks", HEADER.encode() + b"   \n" + FIRST.encode(), "line 2: 1 cells"),
    Case("row of nothing but commas", rows(",,,,,"), "line 2: no date in this row"),
    Case("foreign last line", PLAIN + b"AAPL\n", "line 4: 1 cells"),
    Case("second header in the middle", PLAIN + PLAIN, "line 4: open is 'open', no number"),
    Case(
        "quote that swallows rows",
        text("date,open,high,low,close,note", '2020-01-02,1,1,1,1,"x', '2020-01-03,1,1,1,1,y"'),
        "line 2: a quoted text runs over the end of the line",
        good=text("date,open,high,low,close,note", '2020-01-02,1,1,1,1,"x"', "2020-01-03,1,1,1,1,y"),
    ),
    Case(
        "quote never closed",
        text("date,open,high,low,close,note", '2020-01-02,1,1,1,1,"x', "2020-01-03,1,1,1,1,y"),
        "line 2: quotation marks that do not match",
    ),
    Case("quotes inside a number", rows('2020-01-02,"1"."5",1,1,1,1'), "line 2: quotation marks that do not match"),
    Case(
        "carriage return inside a row", rows("2020-01-02,10,11\r,9,10.5,100"), "line 2: a carriage return in the middle"
    ),
    Case("nul bytes", PLAIN.replace(b"10.5,100", b"10.5,\0\0\0"), "line 2: a NUL byte"),
    Case("nul bytes at the end", PLAIN + b"\0" * 100, "line 4: a NUL byte"),
    # Numbers.
    Case("text in a price", rows("2020-01-02,ten,11,9,10.5,100"), "line 2: open is 'ten', no number"),
    Case(
        "thousands separators",
        rows('2020-01-02,"1,010",11,9,10.5,100'),
        "line 2: open is '1,010', a number with thousands",
    ),
    Case(
        "thousands in volume",
        rows('2020-01-02,10,11,9,10.5,"1,234,567"'),
        "volume is '1,234,567', a number with thousands",
    ),
    Case(
        "decimal commas",
        text("date;open;high;low;close", "2020-01-02;10,5;11,25;9;10"),
        "open is '10,5', a number with a decimal comma",
        good=text("date;open;high;low;close", "2020-01-02;10.5;11.25;9;10"),
    ),
    Case("currency sign", rows("2020-01-02,$10,11,9,10.5,100"), "open is '$10', a number with a currency sign"),
    Case("chinese unit", rows("2020-01-02,10,11,9,10.5,1.2万"), "volume is '1.2万', a number with a unit"),
    Case("unit letter", rows("2020-01-02,10,11,9,10.5,1.2M"), "volume is '1.2M', a number with a unit"),
    Case("percentage", rows("2020-01-02,10%,11,9,10.5,100"), "open is '10%', a percentage"),
    Case("infinity", rows("2020-01-02,inf,11,9,10.5,100"), "line 2: open is infinite"),
    Case("number too large", rows("2020-01-02,1e999,11,9,10.5,100"), "line 2: open is infinite or too large"),
    Case("hexadecimal", rows("2020-01-02,0x10,11,9,10.5,100"), "line 2: open is '0x10', no number"),
    Case("wide digits", rows("2020-01-02,\uff11\uff10,11,9,10.5,100"), "line 2: open is '\uff11\uff10', no number"),
    Case("spreadsheet error", rows("2020-01-02,#REF!,11,9,10.5,100"), "line 2: open is '#REF!', no number"),
    Case("bad number far below", rows(*[FIRST.strip()] * 500, "2020-01-03,1,1,1,oops,1"), "line 502: close is 'oops'"),
    # Dates.
    Case("no date in a row", rows(FIRST.strip(), ",10,11,9,10.5,100"), "line 3: no date in this row"),
    Case("unknown date", rows("Jan 2 2020,10,11,9,10.5,100"), "line 2: 'Jan 2 2020' is no date"),
    Case("date that does not exist", rows("2020-02-30,10,11,9,10.5,100"), "line 2: there is no day 2020-02-30"),
    Case("compact date that does not exist", rows("20200230,10,11,9,10.5,100"), "line 2: there is no day 2020-02-30"),
    Case("month 13", rows(FIRST.strip(), "2020-13-01,1,1,1,1,1"), "line 3: there is no day 2020-13-01"),
    Case("year of two digits", rows("20-01-02,10,11,9,10.5,100"), "line 2: '20-01-02' is no date"),
    Case("year out of reach", rows("0020-01-02,10,11,9,10.5,100"), "line 2: no bar is from before 1800"),
    Case("date with a decimal point", rows("20200102.0,10,11,9,10.5,100"), "'20200102.0' is no date"),
    Case("seconds since 1970", rows("1577923200000,10,11,9,10.5,100"), "must be declared, as date_format: epoch_s"),
    Case(
        "two date formats",
        rows("2020-01-02,1,1,1,1,1", "2020/01/03,1,1,1,1,1"),
        "line 3: two date formats in one column",
    ),
    Case("compact and dashed dates", rows("20200102,1,1,1,1,1", "2020-01-03,1,1,1,1,1"), "line 3: two date formats"),
    Case(
        "dates with and without time", rows("2020-01-02,1,1,1,1,1", "2020-01-03 00:00:00,1,1,1,1,1"), "line 3: two date"
    ),
    Case(
        "day or month first",
        rows("01/03/2020,1,1,1,1,1", "02/03/2020,1,1,1,1,1"),
        "no date of this file tells day from month",
        good=rows("01/03/2020,1,1,1,1,1", "01/13/2020,1,1,1,1,1"),
    ),
    Case(
        "day and month first",
        rows("13/01/2020,1,1,1,1,1", "01/14/2020,1,1,1,1,1"),
        "line 3: two date formats in one column",
    ),
    Case(
        "intraday bars",
        rows("2020-01-02 09:30,1,1,1,1,1", "2020-01-02 10:30,1,1,1,1,1"),
        "line 2: stamps with a time of day",
    ),
    Case("time that does not exist", rows("2020-01-02 24:61,1,1,1,1,1"), "line 2: there is no time 24:61:00"),
    Case(
        "date against the declared format",
        PLAIN,
        "'2020-01-02' is not written as date_format '%d.%m.%Y'",
        good=rows("02.01.2020,1,1,1,1,1"),
        options={"date_format": "%d.%m.%Y"},
    ),
    Case(
        "epoch that is none",
        rows("2020-01-02,1,1,1,1,1"),
        "is no whole number, but date_format is epoch_ms",
        good=rows("1577923200000,1,1,1,1,1"),
        options={"date_format": "epoch_ms"},
    ),
    # Symbols.
    Case(
        "no symbol in a row",
        text("symbol,date,open,high,low,close", "A,2020-01-02,1,1,1,1", ",2020-01-03,1,1,1,1"),
        "line 3: no symbol in this row",
        good=text("symbol,date,open,high,low,close", "A,2020-01-02,1,1,1,1"),
    ),
    Case(
        "another symbol than the name says",
        text("symbol,date,open,high,low,close", "B,2020-01-02,1,1,1,1"),
        "the file's name says 'A', its symbol column 'B'",
        good=text("symbol,date,open,high,low,close", "A,2020-01-02,1,1,1,1"),
        options={"symbol": "^(.+)$"},
    ),
    Case(
        "two symbols in a file of one",
        text("symbol,date,open,high,low,close", "A,2020-01-02,1,1,1,1", "B,2020-01-02,1,1,1,1"),
        "its symbol column 'A', 'B'",
        options={"symbol": "^(.+)$"},
    ),
    Case("name that does not fit", PLAIN, "does not fit the symbol pattern", file="B.csv", options={"symbol": "^(A)$"}),
    # Encodings.
    Case("latin-1 undeclared", LATIN.encode("latin-1"), "line 2: bytes that are no utf-8 text", good=LATIN.encode()),
    Case(
        "chinese cells under an english header",
        "date,open,high,low,close,info\n2020-01-02,1,1,1,1,平安\n".encode("gbk"),
        "line 2: bytes that are no utf-8 text",
    ),
    Case("big5 header", "日期,開盤,收盤,最高,最低\n".encode("big5"), "bytes that are no utf-8 text"),
    Case(
        "declared encoding that is wrong",
        "date,open,high,low,close,é\n".encode("latin-1"),
        "bytes that are no ascii text",
        options={"encoding": "ascii"},
    ),
    Case("cut-off utf-8", PLAIN + "# 来源".encode()[:-1], "line 4: bytes that are no utf-8 text"),
    Case("utf-16 cut in half", PLAIN.decode().encode("utf-16")[:-1], "bytes that are no utf-16 text"),
    # Archives.
    Case(
        "gzip cut off", gzip.compress(PLAIN)[:-9], "damaged or cut-off gzip", good=gzip.compress(PLAIN), file="A.csv.gz"
    ),
    Case(
        "gzip with a wrong checksum",
        flipped(gzip.compress(PLAIN), -6),
        "damaged or cut-off gzip",
        good=gzip.compress(PLAIN),
        file="A.csv.gz",
    ),
    Case(
        "gzip with garbage behind",
        gzip.compress(PLAIN) + b"garbage",
        "damaged or cut-off gzip",
        good=gzip.compress(PLAIN),
        file="A.csv.gz",
    ),
    Case("text named gzip", PLAIN, "damaged or cut-off gzip", good=gzip.compress(PLAIN), file="A.csv.gz"),
    Case("gzip of nothing", gzip.compress(b""), "empty (0 bytes)", good=gzip.compress(PLAIN), file="A.csv.gz"),
    Case(
        "gzip bomb",
        gzip.compress(PLAIN + b"\n" * 5_000),
        "unpacks to more than 4,000 bytes",
        good=gzip.compress(PLAIN),
        file="A.csv.gz",
        limits=SMALL,
    ),
    Case(
        "gzip in gzip",
        gzip.compress(gzip.compress(PLAIN)),
        "holds a gzip archive",
        good=gzip.compress(PLAIN),
        file="A.csv.gz",
    ),
    Case(
        "parquet in gzip",
        gzip.compress(parquet()),
        "a .parquet inside gzip is not read",
        good=PLAIN,
        file="A.parquet.gz",
    ),
    Case("zip cut off", GOOD_ZIP[:-30], "damaged or cut-off zip", good=GOOD_ZIP, file="A.zip"),
    Case(
        "zip with a damaged member", flipped(GOOD_ZIP, 45), "damaged or cut-off zip member", good=GOOD_ZIP, file="A.zip"
    ),
    Case("text named zip", PLAIN, "damaged or cut-off zip", good=GOOD_ZIP, file="A.zip"),
    Case("zip of nothing", zipped(), "holds no CSV or Parquet member, but nothing", good=GOOD_ZIP, file="A.zip"),
    Case(
        "zip without bars",
        zipped(("picture.png", b"x")),
        "holds no CSV or Parquet member, but picture.png",
        good=GOOD_ZIP,
        file="A.zip",
    ),
    Case(
        "zip with an empty member", zipped(("a.csv", b"")), "member a.csv: empty (0 bytes)", good=GOOD_ZIP, file="A.zip"
    ),
    Case(
        "zip with a bad member among good ones",
        zipped(("a.csv", PLAIN), ("b.csv", PLAIN[:-12])),
        "A.zip/b.csv, line 3",
        good=GOOD_ZIP,
        file="A.zip",
    ),
    Case("zip in zip", zipped(("a.zip", GOOD_ZIP)), "an archive inside an archive", good=GOOD_ZIP, file="A.zip"),
    Case("encrypted zip", encrypted(GOOD_ZIP), "member a.csv: the member is encrypted", good=GOOD_ZIP, file="A.zip"),
    Case(
        "zip bomb",
        zipped(("a.csv", PLAIN + b"\n" * 5_000)),
        "unpacks to more than 4,000 bytes",
        good=GOOD_ZIP,
        file="A.zip",
        limits=SMALL,
    ),
    Case(
        "zip of many large members",
        zipped(*((f"{name}.csv", PLAIN + b"\n" * 2_500) for name in "abc")),
        "unpacks to more than 6,000 bytes",
        good=GOOD_ZIP,
        file="A.zip",
        limits=SMALL,
    ),
    Case(
        "zip of too many members",
        zipped(*((f"{name}.csv", PLAIN) for name in "abcd")),
        "holds 4 members",
        good=GOOD_ZIP,
        file="A.zip",
        limits=SMALL,
    ),
    Case("file too large", PLAIN + b"\n" * 5_000, "more than the 4,000 that a file may have", limits=SMALL),
    # Parquet.
    Case("parquet cut off", parquet()[:-20], "damaged or cut-off Parquet", good=parquet(), file="A.parquet"),
    Case("text named parquet", PLAIN, "damaged or cut-off Parquet", good=parquet(), file="A.parquet"),
    Case("empty parquet file", b"", "empty (0 bytes)", good=parquet(), file="A.parquet"),
    Case("parquet without close", parquet(close=None), "no column for close", good=parquet(), file="A.parquet"),
    Case(
        "parquet with text prices",
        parquet(open=["10", "11"]),
        "open is a column of string",
        good=parquet(),
        file="A.parquet",
    ),
    Case(
        "parquet with an infinite price",
        parquet(open=[10.0, float("inf")]),
        "row 2: open is infinite",
        good=parquet(),
        file="A.parquet",
    ),
    Case(
        "parquet with a missing date",
        parquet(date=pa.array([datetime(2020, 1, 2), None])),
        "row 2: no date",
        good=parquet(),
        file="A.parquet",
    ),
    Case(
        "parquet with numbers as symbols",
        parquet(symbol=[1, 2]),
        "leading zeros may be lost",
        good=parquet(symbol=["1", "2"]),
        file="A.parquet",
    ),
    Case(
        "parquet of intraday bars",
        parquet(date=pa.array([datetime(2020, 1, 2, 9), datetime(2020, 1, 2, 10)])),
        "row 1: stamps with a time of day",
        good=parquet(),
        file="A.parquet",
    ),
]


def source(folder: Path, case: Case) -> FileBars:
    config = FilesSource.model_validate({"kind": "files", "path": folder, **case.options})
    return FileBars(config, calendar_named("XNYS"), case.limits)


def test_the_table_is_as_long_as_promised():
    """R8: 60 or more malformed bar files."""
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_malformed_file_is_refused_with_place_and_reason(case: Case, tmp_path: Path):
    """R8: all refused with the reason, 0 bad rows in."""
    (tmp_path / case.file).write_bytes(case.bad)
    with pytest.raises(FileRefused) as refused:
        source(tmp_path, case).bars(ALWAYS)
    assert case.says in str(refused.value)
    assert str(refused.value).startswith(case.file)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_same_file_put_right_is_read(case: Case, tmp_path: Path):
    """The control: the refusal above is about the fault and nothing else."""
    name = {"B.csv": "A.csv", "A.parquet.gz": "A.csv"}.get(case.file, case.file)
    (tmp_path / name).write_bytes(case.good)
    assert source(tmp_path, case).bars(ALWAYS).num_rows > 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_answer_leaves_a_malformed_file_out(case: Case, tmp_path: Path):
    """A folder with one bad file gives no bars at all, and its watermark says why."""
    good = {"B.csv": "A.csv", "A.parquet.gz": "A.csv"}.get(case.file, case.file)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / good).write_bytes(case.good)
    (tmp_path / case.file).write_bytes(case.bad)
    folder = source(tmp_path, Case(case.name, b"", "", options={**case.options, "pattern": "**/*"}, limits=case.limits))
    for ask in (lambda: folder.bars(ALWAYS), folder.watermark, folder.listings):
        with pytest.raises(DataRejected):
            ask()
    reports = folder.survey()
    assert [report.place for report in reports if report.refusal is None][:1] == [f"below/{good}"] or good.endswith(
        "zip"
    )
    assert [case.says in str(report.refusal) for report in reports if report.refusal] == [True]


def test_several_bad_files_are_named_together(tmp_path: Path):
    for name in "ABCDEFG":
        (tmp_path / f"{name}.csv").write_bytes(b"")
    with pytest.raises(FilesRefused, match=r"(?s)7 files.*- A\.csv.*- E\.csv.*and 2 more"):
        FileBars(FilesSource(kind="files", path=tmp_path), calendar_named("XNYS")).bars(ALWAYS)


def test_a_refusal_is_remembered_and_raised_anew(tmp_path: Path):
    (tmp_path / "A.csv").write_bytes(b"")
    bars = FileBars(FilesSource(kind="files", path=tmp_path), calendar_named("XNYS"))
    errors = []
    for _ in range(2):
        with pytest.raises(FileRefused) as refused:
            bars.bars(ALWAYS)
        errors.append(refused.value)
    assert errors[0] is not errors[1]
    assert (errors[0].place, errors[0].reason, errors[0].code) == (errors[1].place, errors[1].reason, "QP212")


# Odd, but certain: delivered as they are, since the quality rules decide (and say why).
DELIVERED = {
    "zero prices": (rows("2020-01-02,0,0,0,0,0"), 1),
    "negative prices": (rows("2020-01-02,-1,-1,-2,-1.5,100"), 1),
    "high below low": (rows("2020-01-02,10,8,12,10,100"), 1),
    "negative volume": (rows("2020-01-02,10,11,9,10,-5"), 1),
    "missing prices": (rows("2020-01-02,,NaN,null,None,--"), 1),
    "the same row twice": (rows(FIRST.strip(), FIRST.strip()), 2),
    "the same key twice": (rows(FIRST.strip(), "2020-01-02,1,1,1,1,1"), 2),
    "a weekend": (rows("2020-01-04,10,11,9,10,100"), 1),
    "a holiday": (rows("2020-01-01,10,11,9,10,100"), 1),
    "header only": (HEADER.encode(), 0),
    "header without a line end": (HEADER.strip().encode(), 0),
    "scientific notation": (rows("2020-01-02,1e1,1.1E1,9,10.5,1e6"), 1),
    "quoted numbers": (rows('"2020-01-02","10","11","9","10.5","100"'), 1),
    "blanks around numbers": (rows("2020-01-02, 10 , 11,9,10.5,100 "), 1),
    "blank lines between rows": (HEADER.encode() + b"\n" + FIRST.encode() + b"\n\n" + SECOND.encode() + b"\n \n", 2),
    "windows line ends": (PLAIN.replace(b"\n", b"\r\n"), 2),
    "old mac line ends": (PLAIN.replace(b"\n", b"\r"), 2),
    "no line end at the end": (PLAIN.rstrip(b"\n"), 2),
}


@pytest.mark.parametrize("name", DELIVERED)
def test_odd_but_certain_files_are_delivered_as_they_are(name: str, tmp_path: Path):
    data, expected = DELIVERED[name]
    (tmp_path / "A.csv").write_bytes(data)
    bars = FileBars(FilesSource(kind="files", path=tmp_path), calendar_named("XNYS"))
    assert bars.bars(ALWAYS).num_rows == expected
    report = bars.survey()[0]
    assert (report.rows, report.refusal) == (expected, None)
