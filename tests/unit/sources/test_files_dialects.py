"""The same bars in every dialect that vendors write them in are the same bars."""

import csv
import gzip
import io
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.calendars import calendar_named
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.markets.market import FilesSource
from quant_pipelines.sources.files import Dialect, FileBars
from quant_pipelines.sources.files.aliases import ALIASES, NULLS, PRICES
from quant_pipelines.sources.protocol import BARS, BarRequest

ALWAYS = BarRequest(first=datetime(1900, 1, 1), last=datetime(2100, 1, 1))
XSHG, XNYS, CRYPTO = calendar_named("XSHG"), calendar_named("XNYS"), calendar_named("24/7")
FIELDS = ("date", "open", "high", "low", "close", "volume", "amount")
# 2014-01-03 and 2014-01-15: the second proves which number is the month.
BARS_OF_A = [
    (date(2014, 1, 3), "10.25", "11", "9.5", "10.5", "1200", "12500.5"),
    (date(2014, 1, 15), "10.5", "12.125", "10", "11", "", "0"),
    (date(2014, 10, 24), "11", "11.5", "10.75", "11.25", "300", ""),
]
Bar = tuple[date, str, str, str, str, str, str]


def answer_of(folder: Path, calendar: Any = XSHG, **options: Any) -> list[dict[str, Any]]:
    return source_of(folder, calendar, **options).bars(ALWAYS).to_pylist()


def source_of(folder: Path, calendar: Any = XSHG, **options: Any) -> FileBars:
    return FileBars(FilesSource.model_validate({"kind": "files", "path": folder, **options}), calendar)


def expected(symbol: str = "A", bars: Sequence[Bar] = BARS_OF_A, **units: Decimal) -> list[dict[str, Any]]:
    """Slowly: every cell through Decimal, rounded once."""
    scale = {name: units.get("price", Decimal(1)) for name in PRICES} | units
    answer: list[dict[str, Any]] = []
    for day, *cells in bars:
        row: dict[str, Any] = dict.fromkeys(BARS.names)
        row |= {"session": datetime(day.year, day.month, day.day), "symbol": symbol}
        for name, cell in zip(FIELDS[1:], cells, strict=True):
            row[name] = float(Decimal(cell) * scale.get(name, Decimal(1))) if cell else None
        answer.append(row)
    return sorted(answer, key=lambda row: (row["session"], row["symbol"]))


def table(
    header: Sequence[str] = FIELDS,
    *,
    day: Callable[[date], str] = date.isoformat,
    delimiter: str = ",",
    order: Sequence[int] = range(7),
    bars: Sequence[Bar] = BARS_OF_A,
) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\n")
    writer.writerow([header[at] for at in order])
    for first, *rest in bars:
        cells = [day(first), *rest]
        writer.writerow([cells[at] for at in order])
    return buffer.getvalue()


def beside(text: str, name: str, value: str) -> str:
    """The text with one more column at its end."""
    head, *lines = text.splitlines()
    return "".join(line + "\n" for line in [f"{head},{name}", *(f"{line},{value}" for line in lines)])


CHINESE = ("日期", "开盘", "最高", "最低", "收盘", "成交量", "成交额")
TUSHARE = ("trade_date", "open", "high", "low", "close", "vol", "amount")
# The order of akshare's columns: the close stands before the high.
CLOSE_FIRST = (0, 1, 4, 2, 3, 5, 6)
TITLE, REMARK = "贵州茅台(600519) 日线 不复权\n", "数据来源:通达信\n"


def stamped(zone: Any) -> Callable[[date], str]:
    return lambda day: datetime(day.year, day.month, day.day, tzinfo=zone).isoformat(" ")


def mixed_offsets(day: date) -> str:
    return stamped(ZoneInfo("Europe/London"))(day)


def milliseconds(day: date) -> str:
    return f"{datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000:.0f}"


def slashed(day: date) -> str:
    return f"{day.year}/{day.month}/{day.day}"


TEXTS: dict[str, bytes] = {
    "plain": table().encode(),
    "Chinese columns, close before high, byte-order mark": table(CHINESE, order=CLOSE_FIRST).encode("utf-8-sig"),
    "GBK with a title above and a remark below": (TITLE + table(CHINESE, delimiter="\t") + "#" + REMARK).encode("gbk"),
    "GBK with a remark that says where it is from": (table(CHINESE) + REMARK).encode("gb18030"),
    "UTF-16": table().encode("utf-16"),
    "tabs": table(delimiter="\t").encode(),
    "semicolons": table(delimiter=";").encode(),
    "bars": table(delimiter="|").encode(),
    "dates 2014/1/3": table(day=slashed).encode(),
    "dates 2014-1-3": table(day=lambda day: f"{day.year}-{day.month}-{day.day}").encode(),
    "dates 2014.1.3": table(day=lambda day: f"{day.year}.{day.month}.{day.day}").encode(),
    "dates 2014年1月3日": table(day=lambda day: f"{day.year}年{day.month}月{day.day}日").encode(),
    "dates 20140103": table(TUSHARE, day=lambda day: f"{day:%Y%m%d}").encode(),
    "dates 20140103 00:00": table(TUSHARE, day=lambda day: f"{day:%Y%m%d} 00:00").encode(),
    "dates 01/03/2014": table(day=lambda day: f"{day:%m/%d/%Y}").encode(),
    "dates 03/01/2014": table(day=lambda day: f"{day:%d/%m/%Y}").encode(),
    "dates 3.1.2014": table(day=lambda day: f"{day.day}.{day.month}.{day.year}").encode(),
    "stamps at midnight": table(day=lambda day: f"{day} 00:00:00").encode(),
    "stamps with T and fractions": table(day=lambda day: f"{day}T00:00:00.000").encode(),
    "stamps in UTC": table(day=stamped(UTC)).encode(),
    "stamps with Z": table(day=lambda day: f"{day}T00:00:00Z").encode(),
    "stamps of mixed offsets": table(day=mixed_offsets).encode(),
    "Shanghai midnights written in UTC": table(
        day=lambda day: (datetime(day.year, day.month, day.day) - timedelta(hours=8)).isoformat() + "+00:00"
    ).encode(),
    "shuffled columns": table(order=(6, 3, 0, 5, 2, 4, 1)).encode(),
    "newest row first": table(bars=BARS_OF_A[::-1]).encode(),
    "unnamed index column": "".join(
        f"{number or ''},{line}\n" for number, line in enumerate(table().splitlines())
    ).encode(),
    "columns nobody asked for": beside(table(), "涨跌幅", "-1.5%").encode(),
    "capitals and blanks": table(
        ("Trade Date", "OPEN", " High ", "Low_Price", "Close-Price", "Vol.", "Amount")
    ).encode(),
    "units stated and plain": table(
        ("日期", "开盘价(元)", "最高价(元)", "最低价(元)", "收盘价(元)", "成交量(股)", "成交额(元)")
    ).encode(),
    "wide brackets": table(("日期", "开盘", "最高", "最低", "收盘", "成交量\uff08股\uff09", "成交额")).encode(),
    "company beside its code": beside(beside(table(), "name", "Alpha Inc"), "code", "A").encode(),
    "yfinance's three header lines": table()
    .replace(
        "date,open,high,low,close,volume,amount",
        "Price,Open,High,Low,Close,Volume,Amount\nTicker" + ",A" * 6 + "\nDate" + "," * 6,
    )
    .encode(),
}
# Each needs a word of the market's entry.
DECLARED: dict[str, tuple[bytes, dict[str, Any]]] = {
    "own names": (
        table(("d", "o", "h", "l", "c", "v", "a")).encode(),
        {"columns": dict(zip(FIELDS, "dohlcva", strict=True))},
    ),
    "two closes, one declared": (beside(table(), "Close", "1").encode(), {"columns": {"close": "close"}}),
    "no header": (
        table().split("\n", 1)[1].encode(),
        {"columns": {name: str(at) for at, name in enumerate(FIELDS, start=1)}},
    ),
    "declared format": (table(day=lambda day: f"{day:%d-%b-%y}").encode(), {"date_format": "%d-%b-%y"}),
    "closing times": (table(day=lambda day: f"{day} 15:00:00").encode(), {"date_format": "%Y-%m-%d 15:00:00"}),
    "milliseconds since 1970": (table(day=milliseconds).encode(), {"date_format": "epoch_ms"}),
    "declared encoding": (table((*FIELDS[:-1], "amount")).encode("cp1252"), {"encoding": "cp1252"}),
}


@pytest.mark.parametrize("dialect", TEXTS)
def test_every_dialect_says_the_same(dialect: str, tmp_path: Path):
    """S3-19: English and Chinese columns."""
    (tmp_path / "A.csv").write_bytes(TEXTS[dialect])
    assert answer_of(tmp_path) == expected()


@pytest.mark.parametrize("dialect", DECLARED)
def test_what_cannot_be_recognised_can_be_declared(dialect: str, tmp_path: Path):
    data, options = DECLARED[dialect]
    (tmp_path / "A.csv").write_bytes(data)
    assert answer_of(tmp_path, **options) == expected()


def zipped(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def as_parquet(dates: pa.Array, **extra: Any) -> bytes:
    columns: dict[str, Any] = {"date": dates}
    for at, name in enumerate(FIELDS[1:], start=1):
        columns[name] = pa.array([float(bar[at]) if bar[at] else None for bar in BARS_OF_A], pa.float64())
    buffer = io.BytesIO()
    pq.write_table(pa.table({**columns, **extra}), buffer)
    return buffer.getvalue()


DAYS = [bar[0] for bar in BARS_OF_A]
MIDNIGHTS = [datetime(day.year, day.month, day.day) for day in DAYS]
PLAIN = TEXTS["plain"]
CONTAINERS: dict[str, tuple[str, bytes]] = {
    "gzip": ("A.csv.gz", gzip.compress(PLAIN)),
    "gzip without an inner ending": ("A.gz", gzip.compress(PLAIN)),
    "gzip in two parts": ("A.csv.gz", gzip.compress(PLAIN[:50]) + gzip.compress(PLAIN[50:])),
    "zip": ("A.zip", zipped(("whatever.csv", PLAIN))),
    "zip with a folder": ("A.zip", zipped(("in/whatever.csv", PLAIN))),
    "zip with a path that leaves the folder": ("A.zip", zipped(("../../whatever.csv", PLAIN))),
    "zip with a read-me and a mac's own files": (
        "A.zip",
        zipped(("a.csv", PLAIN), ("__MACOSX/._a.csv", b"\0"), ("readme.md", b"hello")),
    ),
    "zip of parquet": ("A.zip", zipped(("a.parquet", as_parquet(pa.array(DAYS))))),
    "several members": ("all.zip", zipped(("A.csv", PLAIN), ("in/B.txt", table(bars=[]).encode()))),
    "capital ending": ("A.CSV", PLAIN),
    "symbol with dots": ("A.csv", PLAIN),
    "parquet of dates": ("A.parquet", as_parquet(pa.array(DAYS))),
    "parquet of timestamps": ("A.parquet", as_parquet(pa.array(MIDNIGHTS, pa.timestamp("ns")))),
    "parquet of stamps in New York": (
        "A.parquet",
        as_parquet(
            pa.array(
                [each.replace(tzinfo=ZoneInfo("America/New_York")) for each in MIDNIGHTS],
                pa.timestamp("us", "America/New_York"),
            )
        ),
    ),
    "parquet of Shanghai's stamps in UTC": (
        "A.pq",
        as_parquet(
            pa.array([each.replace(tzinfo=ZoneInfo("Asia/Shanghai")) for each in MIDNIGHTS], pa.timestamp("ms", "UTC"))
        ),
    ),
    "parquet of a fixed offset": (
        "A.parquet",
        as_parquet(
            pa.array(
                [each.replace(tzinfo=timezone(timedelta(hours=-3))) for each in MIDNIGHTS], pa.timestamp("s", "-03:00")
            )
        ),
    ),
    "parquet of text": ("A.parquet", as_parquet(pa.array([day.isoformat() for day in DAYS]).dictionary_encode())),
    "parquet of whole numbers": ("A.parquet", as_parquet(pa.array([int(f"{day:%Y%m%d}") for day in DAYS]))),
    "parquet with symbols": ("x.parquet", as_parquet(pa.array(DAYS), ticker=pa.array(["A"] * 3).dictionary_encode())),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_holds_the_same(container: str, tmp_path: Path):
    name, data = CONTAINERS[container]
    (tmp_path / name).write_bytes(data)
    assert answer_of(tmp_path) == expected()
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing is unpacked onto the disk"


@pytest.mark.parametrize("name", [name for names in ALIASES.values() for name in names])
def test_every_alias_is_recognised(name: str, tmp_path: Path):
    """S3-19: every English and Chinese name of the table, one at a time."""
    meant = next(known for known, names in ALIASES.items() if name in names)
    header = [*FIELDS]
    if meant in header:
        header[header.index(meant)] = name
        text = table(header)
    else:
        text = beside(table(), name, "A" if meant == "symbol" else "1.5")
    (tmp_path / "A.csv").write_text(text, "utf-8")
    kind = {"adjusted_close": "adjusted_close_column", "factor": "factor_column"}.get(meant, "raw")
    source = source_of(tmp_path, adjustment={"kind": kind})
    (dialect,) = source.dialects()
    assert dict(dialect.columns)[meant] == name
    assert source.bars(ALWAYS).num_rows == len(BARS_OF_A)


@pytest.mark.parametrize("null", NULLS)
def test_every_way_to_write_nothing_is_null(null: str, tmp_path: Path):
    (tmp_path / "A.csv").write_text(f"date,open,high,low,close,volume\n2014-01-03,{null},11,9,10,{null}\n", "utf-8")
    (row,) = answer_of(tmp_path)
    assert (row["open"], row["high"], row["volume"]) == (None, 11.0, None)


def test_what_was_found_can_be_shown(tmp_path: Path):
    (tmp_path / "A.csv").write_bytes(TEXTS["GBK with a title above and a remark below"])
    (tmp_path / "B.csv").write_bytes(TEXTS["newest row first"])
    (tmp_path / "C.csv").write_bytes(table(bars=[]).encode())
    (tmp_path / "notes.md").write_text("not bars", "utf-8")
    source = source_of(tmp_path)
    found = {places: dialect for dialect, places in source.dialects().items()}
    assert found[("A.csv",)] == Dialect(
        container="csv",
        encoding="gb18030",
        delimiter="\t",
        lines_above=1,
        header_lines=1,
        lines_below=1,
        columns=tuple(sorted(zip(FIELDS, CHINESE, strict=True))),
        ignored=(),
        dates="YYYY-MM-DD",
        order="oldest first",
        symbol="file name",
    )
    assert found[("B.csv",)].order == "newest first"
    assert [(each.place, each.rows, each.symbols) for each in source.survey()][-1] == ("C.csv", 0, 0)
    assert source.ignored() == ("notes.md",)


def test_stamps_of_an_hourly_market_are_hours(tmp_path: Path):
    text = "date,open,high,low,close\n2014-01-03 01:00:00+02:00,1,1,1,1\n2014-01-03 00:00:00+00:00,2,2,2,2\n"
    (tmp_path / "BTC.csv").write_text(text, "utf-8")
    hourly = calendar_named("24/7", "1h")
    labels = [row["session"] for row in answer_of(tmp_path, hourly)]
    assert labels == [datetime(2014, 1, 2, 23), datetime(2014, 1, 3)]


def test_days_are_no_hours(tmp_path: Path):
    (tmp_path / "BTC.csv").write_bytes(PLAIN)
    with pytest.raises(QuantPipelinesError, match="stamps without a time of day in a market of hourly bars"):
        answer_of(tmp_path, calendar_named("24/7", "1h"))
    (control,) = {row["symbol"] for row in answer_of(tmp_path, CRYPTO)}
    assert control == "BTC"


def test_lean_bars_are_exact_once_divided(tmp_path: Path):
    """Prices x 10000 come back as the decimal they were, with no dust from multiplying by 0.0001."""
    bars = [(day, "5483801", "10000", "1", "123456789", "7", "") for day in DAYS]
    (tmp_path / "aapl.zip").write_bytes(
        zipped(("aapl.csv", table(day=lambda day: f"{day:%Y%m%d} 00:00", bars=bars).split("\n", 1)[1].encode()))
    )
    options = {"columns": {name: str(at) for at, name in enumerate(FIELDS, start=1)}, "units": {"price": 0.0001}}
    assert answer_of(tmp_path, XNYS, **options) == expected("aapl", bars, price=Decimal("0.0001"))


def test_declared_units_multiply(tmp_path: Path):
    (tmp_path / "A.csv").write_bytes(table(TUSHARE).encode())
    units = {"volume": 100, "amount": 1000}
    assert answer_of(tmp_path, units=units) == expected(volume=Decimal(100), amount=Decimal(1000))


def test_a_header_that_states_its_unit_must_agree_with_the_declared_one(tmp_path: Path):
    (tmp_path / "A.csv").write_bytes(table((*CHINESE[:5], "成交量(手)", "成交额(千元)")).encode())
    units = {"volume": 100, "amount": 1000}
    assert answer_of(tmp_path, units=units) == expected(volume=Decimal(100), amount=Decimal(1000))
    with pytest.raises(QuantPipelinesError, match=r"units\.volume is 1\. Declare units: \{volume: 100\}"):
        answer_of(tmp_path)


def test_dollars_are_no_volume(tmp_path: Path):
    (tmp_path / "A.csv").write_bytes(table((*FIELDS[:5], "Volume (USD)", "amount")).encode())
    assert {row["volume"] for row in answer_of(tmp_path)} == {None}


# Property: any bars, in any combination of dialect choices, read as a slow reader reads them.
cell = st.one_of(
    st.just(""),
    st.decimals(-(10**6), 10**9, allow_nan=False, allow_infinity=False, places=4).map(str),
    st.integers(0, 10**12).map(str),
)
days = st.dates(date(1990, 1, 1), date(2090, 12, 31))
bar = st.tuples(days, cell, cell, cell, cell, cell, cell)


writings = st.fixed_dictionaries(
    {
        "order": st.permutations(range(7)),
        "delimiter": st.sampled_from(",\t;|"),
        "header": st.sampled_from([FIELDS, CHINESE, TUSHARE]),
        "day": st.sampled_from([date.isoformat, slashed, lambda day: f"{day:%Y%m%d}", stamped(UTC), mixed_offsets]),
    }
)
wrappings = st.tuples(
    st.sampled_from(["", "title\n"]),
    st.sampled_from(["", "# remark\n", "\n\n"]),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gb18030"]),
)


@given(
    bars=st.lists(bar, max_size=12),
    writing=writings,
    wrapping=wrappings,
    container=st.sampled_from(["A.csv", "A.csv.gz", "A.zip"]),
)
def test_any_bars_in_any_dialect_are_read_as_a_slow_reader_reads_them(
    bars, writing, wrapping, container, tmp_path_factory
):
    above, below, line_end, encoding = wrapping
    data = (above + table(bars=bars, **writing) + below).replace("\n", line_end).encode(encoding)
    packed = {"A.csv": data, "A.csv.gz": gzip.compress(data), "A.zip": zipped(("a.csv", data))}[container]
    folder = tmp_path_factory.mktemp("dialect")
    (folder / container).write_bytes(packed)
    assert answer_of(folder) == expected(bars=bars)
