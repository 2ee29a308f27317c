"""Membership has dates, and names that left stay in history."""

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.calendars import Session
from quant_pipelines.markets import BadUniverse, Universe, members, memberships, universe_symbols, unknown_symbols

HEADER = "symbol,listed,delisted,index,member_from,member_to\n"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Life:
    symbol: str
    listed: Session
    delisted: Session | None = None


LIVES = (
    Life("A", datetime(2020, 1, 2)),
    Life("B", datetime(2020, 1, 2), datetime(2021, 6, 30)),
    Life("C", datetime(2022, 3, 1)),
)


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        ("2019-12-31", ()),
        ("2020-01-02", ("A", "B")),
        ("2021-06-30", ("A", "B")),
        ("2021-07-01", ("A",)),
        ("2022-03-01", ("A", "C")),
    ],
)
def test_without_a_universe_everything_listed_belongs(session, expected):
    assert members(Universe(), LIVES, datetime.fromisoformat(session)) == expected


def test_a_list_keeps_to_its_symbols_and_names_the_unknown():
    universe = Universe(symbols=("C", "B", "X"))
    assert members(universe, LIVES, datetime(2021, 1, 4)) == ("B",)
    assert members(universe, LIVES, datetime(2023, 1, 4)) == ("C",)
    assert universe_symbols(universe, LIVES) == ("B", "C", "X")
    assert unknown_symbols(universe, LIVES) == ("X",)


def written(path: Path, *rows: str) -> Universe:
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return Universe(file=path)


def test_a_dated_file_decides_by_its_dates(tmp_path):
    universe = written(
        tmp_path / "universe.csv",
        "A,2010-01-04,,CSI300,2015-01-05,2018-06-29",
        "A,2010-01-04,,CSI300,2020-01-02,",
        "B,2012-01-04,2021-06-30,CSI300,,",
        "",
    )
    expected = {
        "2011-01-04": (),
        "2012-01-04": ("B",),
        "2015-01-05": ("A", "B"),
        "2018-06-29": ("A", "B"),
        "2018-07-02": ("B",),
        "2020-01-02": ("A", "B"),
        "2021-07-01": ("A",),
    }
    assert {day: members(universe, (), datetime.fromisoformat(day)) for day in expected} == expected
    assert universe_symbols(universe, ()) == ("A", "B")  # the delisted one stays in history
    assert members(universe, (), datetime(2021, 6, 30, 15)) == ("A", "B")  # an hour of the last day


@given(
    spans=st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 30), st.integers(0, 5)), min_size=1, max_size=6),
    at=st.integers(-3, 40),
)
def test_membership_agrees_with_its_definition(tmp_path_factory, spans, at):
    begin = datetime(2020, 1, 1)
    last: dict[str, int] = {}
    rows, expected = [], set()
    for symbol, gap, length in spans:
        first = last.get(symbol, -1) + 1 + gap
        last[symbol] = first + length
        dates = [(begin + day * DAY).date() for day in (first, first + length)]
        rows.append(f"{symbol},2019-01-01,,X,{dates[0]},{dates[1]}")
        if first <= at <= first + length:
            expected.add(symbol)
    universe = written(tmp_path_factory.mktemp("universe") / "universe.csv", *rows)
    assert members(universe, (), begin + at * DAY) == tuple(sorted(expected))


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "universe.csv"
    universe = written(path, "A,2010-01-04,,,,")
    assert members(universe, (), datetime(2020, 1, 2)) == ("A",)
    written(path, "BB,2010-01-04,,,,")
    os.utime(path, ns=(1, 1))
    assert members(universe, (), datetime(2020, 1, 2)) == ("BB",)


GOOD = "A,2010-01-04,,X,2015-01-05,2018-06-29"
BAD = {
    "short row": ("A,2010-01-04", "line 2: found 2 cells, expected 6"),
    "no symbol": (",2010-01-04,,,,", "line 2: the symbol is missing"),
    "no listing": ("A,,,,,", "line 2: A needs the date it was listed"),
    "bad date": ("A,04/01/2010,,,,", "found '04/01/2010' as listed, expected a date written 2020-01-31"),
    "no such day": ("A,2010-02-30,,,,", "found '2010-02-30' as listed"),
    "delisted first": ("A,2010-01-04,2009-01-05,,,", "was delisted on 2009-01-05, before it was listed"),
    "member too early": ("A,2010-01-04,,X,2009-01-05,", "is a member while it is not listed"),
    "member too late": ("A,2010-01-04,2012-01-04,X,2011-01-04,2013-01-04", "is a member while it is not listed"),
    "member backwards": ("A,2010-01-04,,X,2012-01-04,2011-01-04", "stops being a member on 2011-01-04"),
    "overlap": (f"{GOOD}\nA,2010-01-04,,X,2018-06-29,", "line 3: A overlaps with its span on line 2"),
    "two lives": (f"{GOOD}\nA,2010-01-05,,X,2019-06-28,", "line 3: A has other listing dates than on line 2"),
    "no rows": ("", "found no row"),
}


@pytest.mark.parametrize(("rows", "told"), BAD.values(), ids=BAD)
def test_a_wrong_file_is_refused_with_line_and_reason(tmp_path, rows, told):
    assert memberships(written(tmp_path / "control.csv", GOOD).file)
    with pytest.raises(BadUniverse) as refusal:
        memberships(written(tmp_path / "universe.csv", rows).file)
    assert told in str(refusal.value)
    assert "universe.csv" in str(refusal.value)


def test_a_wrong_header_a_missing_file_and_other_bytes_are_refused(tmp_path):
    path = tmp_path / "universe.csv"
    with pytest.raises(BadUniverse, match=r"cannot be read .* correct universe\.file"):
        memberships(path)
    path.write_text("symbol,listed\nA,2010-01-04\n")
    with pytest.raises(BadUniverse, match="found symbol,listed, expected the header symbol,listed,delisted"):
        memberships(path)
    path.write_bytes(HEADER.encode() + b"\xff\xfe,2010-01-04,,,,\n")
    with pytest.raises(BadUniverse, match="no UTF-8 CSV file"):
        memberships(path)
    path.write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + "\u8d35\u5dde,2010-01-04,,,,\n".encode())
    assert memberships(path)[0].symbol == "\u8d35\u5dde"


def test_all_mistakes_are_told_at_once(tmp_path):
    with pytest.raises(BadUniverse) as refusal:
        memberships(written(tmp_path / "universe.csv", "A,x,,,,", "B", ",2010-01-04,,,,").file)
    assert all(f"line {line}" in str(refusal.value) for line in (2, 3, 4))
