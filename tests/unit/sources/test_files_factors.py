"""Dated factors: they start at 1, point forward in time, and no later event changes what was."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.calendars import calendar_named
from quant_pipelines.errors import DataRejected, OperatorActionRequired
from quant_pipelines.markets.market import FilesSource
from quant_pipelines.sources.files import FileBars, FilesMisconfigured
from quant_pipelines.sources.protocol import BarRequest

ALWAYS = BarRequest(first=datetime(1900, 1, 1), last=datetime(2100, 1, 1))
CALENDAR = calendar_named("XNYS")
# A split of 2 for 1 before the third session and a dividend of 10 % before the fifth.
CLOSES = [100.0, 104.0, 52.0, 50.0, 45.0, 46.0]
RATIOS = [0.45, 0.45, 0.9, 0.9, 1.0, 1.0]
DAYS = [date(2020, 8, 24) + timedelta(days=at) for at in range(6)]
LEAN = "20200820,0.9,0.5,1\n20200825,0.9,0.5,104\n20200827,0.9,1,50\n20501231,1,1,0\n"


def source_of(folder: Path, **adjustment: Any) -> FileBars:
    config = {"kind": "files", "path": folder, "pattern": "*.csv", "adjustment": adjustment}
    return FileBars(FilesSource.model_validate(config), CALENDAR)


def write(path: Path, closes: list[float], extra: dict[str, list[Any]], days: list[date] = DAYS) -> None:
    lines = [",".join(["date", "open", "high", "low", "close", *extra])]
    for at, (day, close) in enumerate(zip(days, closes, strict=True)):
        lines.append(",".join(map(str, [day, close, close, close, close, *(values[at] for values in extra.values())])))
    path.write_text("\n".join(lines) + "\n", "utf-8")


def factors(source: FileBars, request: BarRequest = ALWAYS) -> list[float | None]:
    return source.bars(request)["factor"].to_pylist()


EXPECTED = pytest.approx([1.0, 1.0, 2.0, 2.0, 1 / 0.45, 1 / 0.45])


def test_an_adjusted_close_column_becomes_a_dated_factor(tmp_path: Path):
    write(tmp_path / "A.csv", CLOSES, {"Adj Close": [c * r for c, r in zip(CLOSES, RATIOS, strict=True)]})
    source = source_of(tmp_path, kind="adjusted_close_column")
    assert factors(source) == EXPECTED
    assert source.prices_are_raw


def test_a_factor_column_is_scaled_to_start_at_one(tmp_path: Path):
    write(tmp_path / "A.csv", CLOSES, {"复权因子": [ratio * 7 for ratio in RATIOS]})
    assert factors(source_of(tmp_path, kind="factor_column")) == EXPECTED


def test_a_column_nobody_knows_can_be_declared(tmp_path: Path):
    write(tmp_path / "A.csv", CLOSES, {"f": RATIOS, "adj": [c * r for c, r in zip(CLOSES, RATIOS, strict=True)]})
    assert factors(source_of(tmp_path, kind="factor_column", column="f")) == EXPECTED
    assert factors(source_of(tmp_path, kind="adjusted_close_column", column="adj")) == EXPECTED


def test_lean_factor_files_become_a_dated_factor(tmp_path: Path):
    write(tmp_path / "A.csv", CLOSES, {})
    (tmp_path / "factors").mkdir()
    (tmp_path / "factors" / "a.csv").write_text(LEAN, "utf-8")
    assert factors(source_of(tmp_path, kind="factor_files", path=tmp_path / "factors")) == EXPECTED


def test_before_a_factor_file_begins_and_where_there_is_none_nothing_is_known(tmp_path: Path):
    write(tmp_path / "A.csv", CLOSES, {})
    write(tmp_path / "B.csv", CLOSES, {})
    (tmp_path / "factors").mkdir()
    (tmp_path / "factors" / "a.csv").write_text(LEAN.split("\n", 1)[1], "utf-8")
    source = source_of(tmp_path, kind="factor_files", path=tmp_path / "factors")
    assert source.bars(ALWAYS).filter([True, False] * 6)["factor"].to_pylist() == [None, *EXPECTED.expected[1:]]
    assert set(source.bars(ALWAYS).filter([False, True] * 6)["factor"].to_pylist()) == {None}


def test_raw_files_know_no_factor_and_adjusted_ones_need_none(tmp_path: Path):
    write(tmp_path / "A.csv", CLOSES, {"Adj Close": CLOSES, "factor": RATIOS})
    assert set(factors(source_of(tmp_path, kind="raw"))) == {None}
    adjusted = source_of(tmp_path, kind="already_adjusted")
    assert set(factors(adjusted)) == {1.0}
    assert not adjusted.prices_are_raw


def test_where_a_row_has_no_ratio_its_factor_is_unknown_and_the_next_known_one_is_the_base(tmp_path: Path):
    write(tmp_path / "A.csv", CLOSES, {"factor": ["", 0, 2, 4, "", -1]})
    assert factors(source_of(tmp_path, kind="factor_column")) == [None, None, 1.0, 2.0, None, None]


def test_a_part_of_the_bars_has_the_factors_of_the_whole(tmp_path: Path):
    write(tmp_path / "A.csv", CLOSES, {"factor": RATIOS})
    source = source_of(tmp_path, kind="factor_column")
    part = BarRequest(first=datetime(2020, 8, 27), last=datetime(2020, 8, 28))
    assert factors(source, part) == EXPECTED.expected[3:5]


def test_a_symbol_in_several_files_has_one_base(tmp_path: Path):
    for year, part in (("2020b", slice(0, 3)), ("2020a", slice(3, 6))):
        write(tmp_path / f"{year}.csv", CLOSES[part], {"factor": RATIOS[part], "symbol": ["A"] * 3}, DAYS[part])
    assert factors(source_of(tmp_path, kind="factor_column")) == EXPECTED


def test_many_symbols_in_one_file_have_a_base_each(tmp_path: Path):
    lines = [f"{day},{symbol},1,1,1,1,{ratio * scale}" for day, ratio in zip(DAYS, RATIOS, strict=True)
             for symbol, scale in (("B", 3), ("A", 1))]  # fmt: skip
    (tmp_path / "all.csv").write_text("\n".join(["date,code,open,high,low,close,factor", *lines]), "utf-8")
    source = source_of(tmp_path, kind="factor_column")
    for symbol in ("A", "B"):
        assert (
            factors(source, BarRequest(first=ALWAYS.first, last=ALWAYS.last, symbols=frozenset({symbol}))) == EXPECTED
        )


@given(
    ratios=st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=6),
    later_event=st.floats(0.1, 10),
)
def test_a_later_event_does_not_change_the_past(ratios, later_event, tmp_path_factory):
    """Vendors rescale every old ratio at each event, so that today's is 1; dated factors do not move."""
    folder = tmp_path_factory.mktemp("events")
    closes, days = CLOSES[: len(ratios)], DAYS[: len(ratios)]
    write(folder / "A.csv", closes, {"factor": ratios}, days)
    before = factors(source_of(folder, kind="factor_column"))
    write(
        folder / "A.csv",
        [*closes, 1.0],
        {"factor": [*(r * later_event for r in ratios), 1.0]},
        [*days, date(2021, 1, 4)],
    )
    after = factors(source_of(folder, kind="factor_column"))
    assert after[:-1] == pytest.approx(before, rel=1e-12)


BAD_FACTOR_FILES = {
    "": "the factor file is empty",
    "date,price,split\n": "line 1: 'date,price,split' is no row of a Lean factor file",
    "20200101,1\n": "line 1: '20200101,1' is no row",
    "20200101,0,1,1\n": "line 1: '20200101,0,1,1' is no row",
    "20200101,inf,1,1\n": "line 1: '20200101,inf,1,1' is no row",
    "20200230,1,1,1\n": "line 1: there is no day 2020-02-30",
    "20200102,1,1,1\n20200101,1,1,1\n": "line 2: factor rows must follow each other in time",
}


@pytest.mark.parametrize("text", BAD_FACTOR_FILES)
def test_a_malformed_factor_file_is_refused(text: str, tmp_path: Path):
    """The control is the good file above."""
    write(tmp_path / "A.csv", CLOSES, {})
    (tmp_path / "factors").mkdir()
    (tmp_path / "factors" / "a.csv").write_text(text, "utf-8")
    with pytest.raises(DataRejected) as refused:
        factors(source_of(tmp_path, kind="factor_files", path=tmp_path / "factors"))
    assert str(refused.value).startswith("a.csv")
    assert BAD_FACTOR_FILES[text] in str(refused.value)


def test_a_missing_folder_of_factor_files_is_the_operators_business(tmp_path: Path):
    write(tmp_path / "A.csv", CLOSES, {})
    with pytest.raises(OperatorActionRequired, match="No folder of factor files"):
        factors(source_of(tmp_path, kind="factor_files", path=tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "adjustment", [{"kind": "factor_files"}, {"kind": "raw", "path": "x"}, {"kind": "raw", "column": "x"}], ids=str
)
def test_an_adjustment_that_contradicts_itself_is_refused_at_once(adjustment: dict[str, str], tmp_path: Path):
    with pytest.raises(FilesMisconfigured, match="adjustment"):
        source_of(tmp_path, **adjustment)


def test_factor_files_are_part_of_the_watermark(tmp_path: Path):
    write(tmp_path / "A.csv", CLOSES, {})
    (tmp_path / "factors").mkdir()
    (tmp_path / "factors" / "a.csv").write_text(LEAN, "utf-8")
    source = source_of(tmp_path, kind="factor_files", path=tmp_path / "factors")
    before = source.watermark()
    (tmp_path / "factors" / "a.csv").write_text(LEAN.replace("0.9", "0.8"), "utf-8")
    assert source.watermark().token != before.token
    (tmp_path / "factors" / "a.csv").write_text(LEAN, "utf-8")
    assert source.watermark() == before
