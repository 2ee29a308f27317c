"""FileBars as a whole: which files, which symbols, what is remembered, and when its watermark moves."""

import gzip
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipelines.calendars import calendar_named
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.markets.market import FilesSource
from quant_pipelines.sources.files import FileBars, FilesMisconfigured, FilesMissing, Limits
from quant_pipelines.sources.files.memory import FileKey, Known, Memory
from quant_pipelines.sources.protocol import BarRequest

ALWAYS = BarRequest(first=datetime(1900, 1, 1), last=datetime(2100, 1, 1))
HEADER = "date,open,high,low,close\n"


def source_of(path: Path, limits: Limits | None = None, **options: Any) -> FileBars:
    config = FilesSource.model_validate({"kind": "files", "path": path, **options})
    return FileBars(config, calendar_named("XNYS"), limits)


def write(path: Path, *days: str, price: float = 1.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + "".join(f"{day},{price},{price},{price},{price}\n" for day in days), "utf-8")


def keys(table: pa.Table) -> list[tuple[str, str]]:
    return [
        (f"{session:%Y-%m-%d}", symbol)
        for session, symbol in zip(*map(pa.ChunkedArray.to_pylist, table.columns[:2]), strict=True)
    ]


# Which files.


def test_a_missing_folder_is_the_operators_business(tmp_path: Path):
    with pytest.raises(OperatorActionRequired, match=r"Nothing at .*nowhere\. Correct the source's path"):
        source_of(tmp_path / "nowhere").bars(ALWAYS)


def test_a_folder_without_bars_is_the_operators_business(tmp_path: Path):
    (tmp_path / "notes.md").write_text("no bars", "utf-8")
    (tmp_path / ".hidden.csv").write_text("no bars", "utf-8")
    for ask in (source_of(tmp_path).watermark, source_of(tmp_path).listings):
        with pytest.raises(FilesMissing, match=r"fits '\*' in"):
            ask()
    write(tmp_path / "A.csv", "2020-01-02")
    assert keys(source_of(tmp_path).bars(ALWAYS)) == [("2020-01-02", "A")]


def test_the_pattern_chooses_among_files_and_below(tmp_path: Path):
    write(tmp_path / "A-USD.csv", "2020-01-02")
    write(tmp_path / "index.csv", "2020-01-02")
    write(tmp_path / "more" / "B-USD.csv", "2020-01-02")
    assert keys(source_of(tmp_path, pattern="*-USD.csv").bars(ALWAYS)) == [("2020-01-02", "A-USD")]
    assert len(keys(source_of(tmp_path, pattern="**/*.csv").bars(ALWAYS))) == 3


def test_a_path_may_be_a_single_file(tmp_path: Path):
    write(tmp_path / "A.csv", "2020-01-02")
    write(tmp_path / "B.csv", "2020-01-02")
    assert keys(source_of(tmp_path / "A.csv").bars(ALWAYS)) == [("2020-01-02", "A")]


@pytest.mark.parametrize(
    "options",
    [
        {"pattern": "/etc/*"},
        {"pattern": "../*"},
        {"pattern": ""},
        {"symbol": "(("},
        {"symbol": "(a)(b)"},
        {"encoding": "utf-99"},
        {"columns": {"closing": "Close"}},
        {"columns": {"date": "1", "close": "2"}},
        {"columns": {"date": "1", "open": "2", "high": "3", "low": "4", "close": "4"}},
        {"columns": {"date": "0", "open": "2", "high": "3", "low": "4", "close": "5"}},
    ],
    ids=str,
)
def test_an_entry_that_cannot_be_right_is_refused_before_any_file_is_read(options: dict[str, Any], tmp_path: Path):
    with pytest.raises(FilesMisconfigured):
        source_of(tmp_path / "nowhere", **options)


# Which symbols.


@pytest.mark.parametrize(
    ("name", "symbol", "expected"),
    [
        ("AAL_data.csv", "^(.+)_data", "AAL"),
        ("AAL_data.csv", None, "AAL_data"),
        ("000001.SZ.csv", None, "000001.SZ"),
        ("BRK.B.csv.gz", None, "BRK.B"),
        ("BTC-USD.csv", "^([A-Z0-9]+)", "BTC"),
        ("浦发银行.csv", None, "浦发银行"),
    ],
)
def test_the_symbol_comes_from_the_files_name(name: str, symbol: str | None, expected: str, tmp_path: Path):
    write(tmp_path / "plain.csv", "2020-01-02")
    data = (tmp_path / "plain.csv").read_bytes()
    (tmp_path / "plain.csv").unlink()
    if name.endswith(".gz"):
        data = gzip.compress(data)
    (tmp_path / name).write_bytes(data)
    assert keys(source_of(tmp_path, symbol=symbol).bars(ALWAYS)) == [("2020-01-02", expected)]


def test_the_symbol_comes_from_a_column_if_there_is_one(tmp_path: Path):
    text = "2020-01-02,B,1,1,1,1,x\n2020-01-02,A,1,1,1,1,y\n2020-01-03,NA,1,1,1,1,z\n"
    (tmp_path / "all.csv").write_text("date,code,open,high,low,close,basket\n" + text, "utf-8")
    assert keys(source_of(tmp_path).bars(ALWAYS)) == [("2020-01-02", "A"), ("2020-01-02", "B"), ("2020-01-03", "NA")]
    by_basket = source_of(tmp_path, symbol="basket")
    assert [symbol for _, symbol in keys(by_basket.bars(ALWAYS))] == ["x", "y", "z"]
    (listing, *_) = by_basket.listings()
    assert (listing.symbol, listing.listed, listing.delisted) == ("x", datetime(2020, 1, 2), None)


def test_leading_zeros_of_a_code_survive(tmp_path: Path):
    (tmp_path / "all.csv").write_text("日期,股票代码,开盘,最高,最低,收盘\n20200102,000001,1,1,1,1\n", "utf-8")
    assert keys(source_of(tmp_path).bars(ALWAYS)) == [("2020-01-02", "000001")]


def test_a_symbol_without_rows_is_known_to_the_survey_and_not_listed(tmp_path: Path):
    write(tmp_path / "A.csv", "2020-01-02")
    write(tmp_path / "B.csv")
    source = source_of(tmp_path)
    assert [listing.symbol for listing in source.listings()] == ["A"]
    assert [(report.place, report.rows) for report in source.survey()] == [("A.csv", 1), ("B.csv", 0)]


def test_nothing_but_empty_files_has_no_last_session(tmp_path: Path):
    write(tmp_path / "A.csv")
    assert source_of(tmp_path).watermark().last_session is None
    assert source_of(tmp_path).bars(ALWAYS).num_rows == 0


def test_rows_of_an_equal_key_stay_in_the_order_of_their_files(tmp_path: Path):
    for name, price in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        (tmp_path / f"{name}.csv").write_text(
            f"date,symbol,open,high,low,close\n2020-01-02,A,1,1,1,{price}\n2020-01-02,A,1,1,1,{price + 10}\n", "utf-8"
        )
    assert source_of(tmp_path).bars(ALWAYS)["close"].to_pylist() == [3.0, 13.0, 1.0, 11.0, 2.0, 12.0]


# What is remembered.


def test_unchanged_files_are_read_once(tmp_path: Path):
    """Seen from outside: bytes that change behind an unchanged size and time are not noticed, as the docs say."""
    write(tmp_path / "A.csv", "2020-01-02", price=1.0)
    source = source_of(tmp_path)
    assert source.bars(ALWAYS)["close"].to_pylist() == [1.0]
    before = (tmp_path / "A.csv").stat()
    write(tmp_path / "A.csv", "2020-01-02", price=2.0)
    os.utime(tmp_path / "A.csv", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source.bars(ALWAYS)["close"].to_pylist() == [1.0]
    os.utime(tmp_path / "A.csv", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert source.bars(ALWAYS)["close"].to_pylist() == [2.0]


def test_a_source_that_may_remember_nothing_answers_the_same(tmp_path: Path):
    for symbol in "ABC":
        write(tmp_path / f"{symbol}.csv", "2020-01-02", "2020-01-03")
    forgetful = source_of(tmp_path, Limits(remembered_bytes=0))
    for _ in range(2):
        assert forgetful.bars(ALWAYS).equals(source_of(tmp_path).bars(ALWAYS))


def test_memory_stays_within_its_limit_and_lets_the_oldest_go(tmp_path: Path):
    write(tmp_path / "A.csv", *[f"2020-01-{day:02d}" for day in range(1, 29)])
    source = source_of(tmp_path)
    source.bars(ALWAYS)
    rows = source._memory.rows(source._files()[0])
    assert rows is not None
    size = sum(each.nbytes for each in rows)
    memory = Memory(limit_bytes=2 * size)
    made = [FileKey(name, 1, 1) for name in "abc"]
    for key in made[:2]:
        memory.keep(key, Known(), rows)
    memory.rows(made[0])
    memory.keep(made[2], Known(), rows)
    assert [memory.rows(key) is not None for key in made] == [True, False, True]
    assert all(memory.known(key) is not None for key in made), "summaries stay"
    memory.forget_all_but(made[:1])
    assert [memory.known(key) is not None for key in made] == [True, False, False]


def test_several_threads_get_the_same_answer(tmp_path: Path):
    for symbol in "ABCDEFGH":
        write(tmp_path / f"{symbol}.csv", "2020-01-02", "2020-01-03")
    source = source_of(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(source.bars, [ALWAYS] * 16))
    assert all(answer.equals(answers[0]) for answer in answers)


# When the watermark moves.


def test_the_watermark_moves_when_and_only_when_content_does(tmp_path: Path):
    """X-39: a tick skips where the source's watermark did not move."""
    write(tmp_path / "A.csv", "2020-01-02")
    source = source_of(tmp_path)
    first = source.watermark()
    assert first.last_session == datetime(2020, 1, 2)
    os.utime(tmp_path / "A.csv")
    assert source.watermark() == first, "touched"
    (tmp_path / "notes.md").write_text("hello", "utf-8")
    assert source.watermark() == first, "a file of another kind"
    shutil.copytree(tmp_path, tmp_path.parent / "elsewhere")
    assert source_of(tmp_path.parent / "elsewhere").watermark() == first, "moved"
    write(tmp_path / "A.csv", "2020-01-02", "2020-01-03")
    second = source.watermark()
    assert second.last_session == datetime(2020, 1, 3)
    write(tmp_path / "B.csv", "2020-01-02")
    third = source.watermark()
    (tmp_path / "B.csv").rename(tmp_path / "C.csv")
    fourth = source.watermark()
    assert len({each.token for each in (first, second, third, fourth)}) == 4


@pytest.mark.parametrize(
    "options",
    [
        {"units": {"price": 10}},
        {"columns": {"open": "high", "high": "open"}},
        {"adjustment": {"kind": "already_adjusted"}},
    ],
    ids=str,
)
def test_another_entry_over_the_same_files_has_another_watermark(options: dict[str, Any], tmp_path: Path):
    write(tmp_path / "A.csv", "2020-01-02")
    plain, other = source_of(tmp_path).watermark(), source_of(tmp_path, **options).watermark()
    assert plain.last_session == other.last_session
    assert plain.token != other.token


# Properties.

price = st.floats(0.01, 1e6).map(lambda value: round(value, 4))


@settings(max_examples=50)
@given(
    rows=st.lists(st.tuples(st.integers(0, 40), st.sampled_from("ABCDE"), price), max_size=40),
    files=st.integers(1, 4),
    span=st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted),
    symbols=st.none() | st.frozensets(st.sampled_from("ABCDEF")),
)
def test_any_split_into_files_answers_as_a_sorted_list_would(rows, files, span, symbols, tmp_path_factory):
    folder = tmp_path_factory.mktemp("split")
    labels = [datetime(2020, 1, 1 + day) if day < 31 else datetime(2020, 2, day - 30) for day in range(41)]
    for number in range(files):
        mine = rows[number::files]
        lines = [f"{labels[day]:%Y-%m-%d},{symbol},1,1,1,{close}" for day, symbol, close in mine]
        (folder / f"{number}.csv").write_text("\n".join(["date,symbol,open,high,low,close", *lines]), "utf-8")
    in_files = [row for number in range(files) for row in rows[number::files]]
    wanted = [row for row in in_files if span[0] <= row[0] <= span[1] and (symbols is None or row[1] in symbols)]
    expected = [(labels[day], symbol, close) for day, symbol, close in sorted(wanted, key=lambda row: row[:2])]
    table = source_of(folder).bars(BarRequest(first=labels[span[0]], last=labels[span[1]], symbols=symbols))
    answer = zip(*(table[name].to_pylist() for name in ("session", "symbol", "close")), strict=True)
    assert list(answer) == expected
