"""Raw bars are judged row by row; what breaks a hard rule is held out with a reason a person can act on."""

import json
import math
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.lake.tables import QUARANTINE
from quant_pipelines.quality import RAW_RULES, WrongColumns, judge
from tests.unit.quality.making import BAR, FACTS, SATURDAY, SESSIONS, bars, dirty_bars

HARD = [
    ({"open": None}, "null_price", "open is missing; a bar has an open, a high, a low and a close"),
    ({"close": None, "low": None}, "null_price", "low is missing; close is missing; a bar has an open, a high, a low"),
    ({"volume": float("nan")}, "finite", "volume is no finite number; every number is finite, and a missing one is"),
    ({"amount": float("inf")}, "finite", "amount is no finite number"),
    ({"low": 0.0}, "positive_price", "low is 0; prices are above zero"),
    ({"previous_close": -1.5}, "positive_price", "previous_close is -1.5; prices are above zero"),
    (
        {"high": 9.8, "open": 9.75, "close": 9.95},
        "high_encloses",
        "high 9.8 is below close 9.95; a bar's high encloses its open and close",
    ),
    ({"low": 9.95}, "low_encloses", "low 9.95 is above open 9.9; a bar's low encloses its open and close"),
    ({"volume": -1.0}, "volume_not_negative", "volume is -1; a traded volume is zero or more"),
    ({"amount": -0.5}, "amount_not_negative", "amount is -0.5; a traded amount is zero or more"),
    ({"factor": 0.0}, "positive_factor", "factor is 0; an adjustment factor is above zero"),
    ({"session": SATURDAY}, "is_session", "2024-01-06 is no session of the calendar in the judged window; bars belong"),
]


@pytest.mark.parametrize(("change", "rule", "reason"), HARD, ids=[f"{rule}-{'-'.join(c)}" for c, rule, _ in HARD])
def test_a_broken_bar_is_held_out_with_what_was_found_and_expected(change, rule, reason):
    """S1-32, X-44: strict thresholds, blocking, with the reason."""
    findings = judge(bars({"symbol": "600000", "session": SESSIONS[1]}, change), RAW_RULES, FACTS)
    assert findings.hard_counts() == {rule: 1}
    assert findings.hard.tolist() == [False, True]
    (held_out,) = findings.quarantine_rows().to_pylist()
    assert held_out["rule"] == rule
    assert held_out["reason"].startswith(reason)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"open": 10.2, "high": 10.2, "low": 10.2, "close": 10.2},
        {"volume": 0.0, "amount": 0.0},
        {"volume": None, "amount": None, "previous_close": None, "factor": None},
    ],
    ids=["ordinary", "one price all day", "nothing traded", "only the prices known"],
)
def test_a_clean_bar_breaks_nothing(change):
    findings = judge(bars(change), RAW_RULES, FACTS)
    assert findings.hard_rows == 0
    assert findings.soft_counts() == {}
    assert findings.table() == []
    assert findings.quarantine_rows().equals(QUARANTINE.arrow.empty_table())


def test_an_empty_table_breaks_nothing():
    findings = judge(bars(), RAW_RULES, FACTS)
    assert (findings.rows, findings.hard_rows, findings.quarantine_rows().num_rows) == (0, 0, 0)


def test_of_equal_copies_the_first_is_kept():
    findings = judge(bars({"occurrence": 2}, {"occurrence": 0}, {"occurrence": 1}), RAW_RULES, FACTS)
    assert findings.hard_counts() == {"duplicate_row": 2}
    assert findings.hard.tolist() == [True, False, True]
    assert findings.quarantine_rows()["reason"][0].as_py() == (
        "the same bar was delivered 3 times and this is copy 1, counted from 0; "
        "one bar per session and symbol, so the later copies are held out"
    )


def test_of_differing_bars_none_is_kept():
    findings = judge(
        bars({}, {"occurrence": 1, "close": 10.1}, {"symbol": "600000", "occurrence": 2}), RAW_RULES, FACTS
    )
    assert findings.hard_counts() == {"conflicting_key": 3}
    assert findings.hard.all()
    assert (
        "3 bars were delivered and 1 of them differ from the first" in findings.quarantine_rows()["reason"][0].as_py()
    )


def test_provenance_does_not_make_two_bars_differ():
    findings = judge(bars({}, {"occurrence": 1, "source": "another"}), RAW_RULES, FACTS)
    assert findings.hard_counts() == {"duplicate_row": 1}


def test_a_null_and_a_nan_are_different_values():
    findings = judge(bars({"amount": None}, {"occurrence": 1, "amount": float("nan")}), RAW_RULES, FACTS)
    assert findings.hard_counts() == {"conflicting_key": 2, "finite": 1}


@pytest.mark.parametrize(
    ("change", "example"),
    [
        (
            {"symbol": "999999"},
            "2024-01-02 999999 0: 999999 is unknown to the market's listings; a symbol has bars only",
        ),
        ({"symbol": "600001"}, "2024-01-02 600001 0: 600001 was listed on 2024-01-04 only; a symbol has bars only"),
        (
            {"symbol": "600001", "session": SESSIONS[-1]},
            "2024-01-15 600001 0: 600001 was delisted on 2024-01-10; a symbol has bars only while it is listed",
        ),
    ],
)
def test_a_soft_finding_is_listed_and_blocks_nothing(change, example):
    findings = judge(bars({}, change), RAW_RULES, FACTS)
    assert findings.soft_counts() == {"listed": 1}
    assert findings.hard_rows == 0
    (row,) = findings.table()
    assert (row["rule"], row["severity"], row["rows"]) == ("listed", "soft", 1)
    assert str(row["example"]).startswith(example)


def test_a_listing_includes_its_first_and_last_session():
    held = [{"symbol": "600001", "session": each} for each in SESSIONS[2:7]]
    assert judge(bars(*held), RAW_RULES, FACTS).soft_counts() == {}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (bars({}).drop_columns(["close"]), "column close: found no column, expected double"),
        (bars({}).append_column("extra", pa.array([1])), "column extra: found int64, expected no column"),
        (bars({"symbol": None}), "column symbol: found string with 1 nulls, expected string without nulls"),
        (
            bars({}).set_column(3, "open", pa.array(["9.9"])),
            "column open: found string, expected double",
        ),
        (bars({}).append_column("close", pa.array([1.0])), "column close: found 2 columns, expected double"),
    ],
    ids=["missing", "unknown", "null in the key", "wrong type", "named twice"],
)
def test_a_table_of_the_wrong_shape_is_refused_as_a_whole(table, message):
    """S2-106: format mismatch and missing fields are named."""
    with pytest.raises(WrongColumns, match=message) as refused:
        judge(table, RAW_RULES, FACTS)
    assert refused.value.code == "QP230"
    judge(bars({}), RAW_RULES, FACTS)


def test_the_column_order_is_no_matter_of_shape():
    table = bars({"high": 0.5})
    assert judge(table.select(table.column_names[::-1]), RAW_RULES, FACTS).quarantine_rows().num_rows == 1


def test_the_whole_row_is_kept_as_json_with_what_json_cannot_say():
    dirty = {"symbol": 'a"b\\ü', "close": float("nan"), "high": float("-inf"), "low": None, "volume": 1e22}
    (row, *_) = judge(bars(dirty), RAW_RULES, FACTS).quarantine_rows()["row"].to_pylist()
    kept = json.loads(row, parse_constant=pytest.fail)
    told = {name: value for name, value in BAR.items() if name not in ("source", "fetched_at")}
    assert kept == {
        **told,
        **dirty,
        "session": "2024-01-02",
        "close": "NaN",
        "high": "-Infinity",
    }


def test_quarantine_keeps_where_the_row_came_from():
    (row,) = judge(bars({"volume": -1.0, "occurrence": 0}), RAW_RULES, FACTS).quarantine_rows().to_pylist()
    assert {name: row[name] for name in ("session", "symbol", "occurrence", "source", "fetched_at")} == {
        name: BAR[name] for name in ("session", "symbol", "occurrence", "source", "fetched_at")
    }


@given(dirty_bars())
def test_the_masks_are_what_a_reader_of_the_rules_would_mark(table):
    findings = judge(table, RAW_RULES, FACTS)
    expected = judged_slowly(table.to_pylist())
    assert {name: np.flatnonzero(mask).tolist() for name, mask in findings.masks.items()} == {
        name: expected[name] for name in findings.masks
    }


@given(dirty_bars())
def test_every_held_out_row_is_in_quarantine_under_every_rule_it_broke(table):
    """X-14: nothing is dropped without a row that says so."""
    findings = judge(table, RAW_RULES, FACTS)
    held_out = findings.quarantine_rows()
    assert held_out.schema.equals(QUARANTINE.arrow)
    keys = [tuple(row[name] for name in QUARANTINE.key) for row in held_out.to_pylist()]
    rows = table.to_pylist()
    hard = {rule.name for rule in RAW_RULES if rule.severity == "hard"}
    assert keys == sorted(
        (rows[at]["session"], rows[at]["symbol"], rows[at]["occurrence"], name)
        for name, mask in findings.masks.items()
        if name in hard
        for at in np.flatnonzero(mask)
    )
    for text in held_out["row"].to_pylist():
        json.loads(text, parse_constant=pytest.fail)


@given(dirty_bars(), st.randoms())
def test_the_order_of_the_rows_decides_nothing(table, random):
    order = list(range(table.num_rows))
    random.shuffle(order)
    here, there = judge(table, RAW_RULES, FACTS), judge(table.take(pa.array(order, pa.int64())), RAW_RULES, FACTS)
    assert here.hard[order].tolist() == there.hard.tolist()
    assert here.table() == there.table()
    assert here.quarantine_rows().equals(there.quarantine_rows())


def test_one_bad_row_among_a_million_is_found_and_nothing_else():
    """S1-32: 4,000 symbols x 250 sessions with one high below its close."""
    sessions = FACTS.calendar.sessions(FACTS.first, FACTS.calendar.offset(FACTS.first, 249))
    table = a_million_bars(sessions)
    high = table["high"].to_numpy().copy()
    high[654_321] = 9.95
    dirty = table.set_column(table.column_names.index("high"), "high", pa.array(high))
    facts = type(FACTS)(
        calendar=FACTS.calendar,
        first=sessions[0],
        last=sessions[-1],
        last_closed=sessions[-1],
        listings=FACTS.listings,
        quality=FACTS.quality,
    )
    assert judge(table, RAW_RULES, facts).hard_rows == 0
    findings = judge(dirty, RAW_RULES, facts)
    assert np.flatnonzero(findings.hard).tolist() == [654_321]
    assert findings.hard_counts() == {"high_encloses": 1}


@pytest.mark.nightly
def test_a_year_of_nothing_but_broken_bars_is_still_judged():
    sessions = FACTS.calendar.sessions(FACTS.first, FACTS.calendar.offset(FACTS.first, 249))
    table = a_million_bars(sessions)
    broken = table.set_column(table.column_names.index("volume"), "volume", pa.array(np.full(table.num_rows, -1.0)))
    findings = judge(broken, RAW_RULES, FACTS)
    assert findings.hard.all()
    assert findings.quarantine_rows().num_rows >= table.num_rows


def a_million_bars(sessions: list[Any], symbols: int = 4_000) -> pa.Table:
    count = len(sessions) * symbols
    one = bars({})
    columns: dict[str, Any] = {name: pa.repeat(one[name][0], count) for name in one.column_names}
    columns["session"] = np.repeat(np.array(sessions, dtype="datetime64[us]"), symbols)
    columns["symbol"] = [f"{600000 + each}" for each in range(symbols)] * len(sessions)
    return pa.table([columns[name] for name in one.column_names], schema=one.schema)


def judged_slowly(rows: list[dict[str, Any]]) -> dict[str, list[int]]:
    """The rules read off the specification, one row at a time."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        groups[row["session"], row["symbol"]].append(at)
    found: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        for name in rules_broken_slowly(row):
            found[name].append(at)
        copies = sorted(groups[row["session"], row["symbol"]], key=lambda each: rows[each]["occurrence"])
        if len({bar_of(rows[each]) for each in copies}) > 1:
            found["conflicting_key"].append(at)
        elif copies.index(at) > 0:
            found["duplicate_row"].append(at)
    return found


NUMBERS = ("open", "high", "low", "close", "volume", "amount", "previous_close", "factor")


def bar_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple("NaN" if row[name] is not None and math.isnan(row[name]) else row[name] for name in NUMBERS)


def rules_broken_slowly(row: dict[str, Any]) -> set[str]:
    known = {name: row[name] for name in NUMBERS if row[name] is not None and not math.isnan(row[name])}
    four = [known.get(name) for name in ("open", "high", "low", "close")]
    opened, high, low, close = four
    listing = {each.symbol: each for each in FACTS.listings}.get(row["symbol"])
    listed = listing is not None and listing.listed <= row["session"] <= (listing.delisted or row["session"])
    held = {
        "null_price": None not in four,
        "finite": all(row[name] is None or math.isfinite(row[name]) for name in NUMBERS),
        "positive_price": all(known.get(name, 1) > 0 for name in ("open", "high", "low", "close", "previous_close")),
        "high_encloses": high is None or all(high >= each for each in (opened, close) if each is not None),
        "low_encloses": low is None or all(low <= each for each in (opened, close) if each is not None),
        "volume_not_negative": known.get("volume", 0) >= 0,
        "amount_not_negative": known.get("amount", 0) >= 0,
        "positive_factor": known.get("factor", 1) > 0,
        "is_session": row["session"] in SESSIONS,
        "listed": listed,
    }
    return {name for name, holds in held.items() if not holds}
