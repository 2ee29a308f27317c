"""Label rows against a slow reading of the policy in exact fractions, and their laws."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.labels import LABEL_SETS, RETURNS, ROWS, BadLabelInput, direction3, label_rows
from quant_pipelines.labels.build import direction

SETS = (*LABEL_SETS.values(), direction3(horizon_sessions=3))
SYMBOLS = ("600001.SH", "000002.SZ", "300003.SZ")
LENGTH = 14
A = SYMBOLS[0]

cells = st.one_of(
    st.integers(900, 1100).map(lambda cents: cents / 100),
    st.integers(900, 1100).map(lambda cents: cents / 100),
    st.integers(900, 1100).map(lambda cents: cents / 100),
    st.sampled_from(["S", "Q", None]),
)
factor = st.sampled_from([None, 1.0, 1.0, 1.0, 1.5, 2.0, 2.5])
markets = st.fixed_dictionaries(
    {
        "closes": st.fixed_dictionaries({s: st.lists(cells, min_size=LENGTH, max_size=LENGTH) for s in SYMBOLS}),
        "factors": st.fixed_dictionaries({s: st.lists(factor, min_size=LENGTH, max_size=LENGTH) for s in SYMBOLS}),
        "left": st.fixed_dictionaries({s: st.one_of(st.none(), st.integers(0, LENGTH - 1)) for s in SYMBOLS}),
    }
)


@pytest.fixture(scope="session")
def market_of(prices_of, venue_of, sessions):
    """Prices and venue of a drawn market; nobody has a bar after leaving."""

    def make(drawn):
        left = {symbol: LENGTH if place is None else place for symbol, place in drawn["left"].items()}
        closes = {
            symbol: [close if t <= left[symbol] else None for t, close in enumerate(line)]
            for symbol, line in drawn["closes"].items()
        }
        delisted = {s: sessions[t] for s, t in drawn["left"].items() if t is not None}
        return closes, prices_of(closes, factors=drawn["factors"]), venue_of(delisted)

    return make


def exactly(closes, factors, left, label_set, t, known):  # noqa: PLR0917
    """(value, returns, ended, absent) of one label by the policy, or None where no row may exist."""
    reasons = {"S": "suspended", "Q": "quarantined", None: "no_bar"}
    if closes[t] is None or t + label_set.resolves_after >= known:
        return None
    held = []
    for after in label_set.closes:
        at = t + after
        if left is not None and at > left:
            trades = [u for u in range(left + 1) if isinstance(closes[u], float)]
            if not held or not trades or trades[-1] <= t + label_set.opens_after:
                return None, [], False, "delisted"
            at = trades[-1]
        if not isinstance(closes[at], float):
            return None, [], False, reasons[closes[at]]
        held.append((Fraction(round(closes[at] * 100), 100), factors[at]))
    if any((earlier[1] is None) != (later[1] is None) for earlier, later in pairwise(held)):
        return None, [], False, "factor_unknown"
    worth = [price * Fraction(factor or 1) for price, factor in held]
    returns = [later / earlier - 1 for earlier, later in pairwise(worth)]
    ended = left is not None and t + label_set.resolves_after > left
    return worth[-1] / worth[0] - 1, returns, ended, None


def exact_direction(value, label_set):
    if label_set.classes is None:
        return None
    if label_set.classes.down_below is None:
        return int(value > 0)
    return int(value > Fraction(5, 1000)) - int(value < Fraction(-5, 1000))


@given(markets)
def test_label_rows_agree_with_the_policy_in_exact_fractions(market_of, sessions, drawn):
    closes, prices, venue = market_of(drawn)
    found = label_rows(prices, SETS, venue, through=sessions[LENGTH])
    rows = {(r["session"], r["symbol"], r["label_set"]): r for r in found.to_pylist()}
    assert len(rows) == found.num_rows
    known = 1 + max((t for line in closes.values() for t, c in enumerate(line) if c is not None), default=-1)
    expected = 0
    for label_set in SETS:
        for symbol in SYMBOLS:
            for t in range(known):
                truth = exactly(closes[symbol], drawn["factors"][symbol], drawn["left"][symbol], label_set, t, known)
                row = rows.get((sessions[t], symbol, label_set.name))
                assert (truth is None) == (row is None)
                if truth is None or row is None:
                    continue
                expected += 1
                value, returns, ended, absent = truth
                assert (row["absent"], row["ended"]) == (absent, ended)
                assert (row["opens"], row["resolves"]) == label_set.span(sessions[t], venue.calendar)
                if absent:
                    assert {row[name] for name in ("value", "direction", *RETURNS)} == {None}
                    continue
                assert row["value"] == pytest.approx(float(value), abs=1e-12)
                assert row["direction"] == exact_direction(value, label_set)
                if label_set.by_session:
                    assert [row[name] for name in RETURNS] == pytest.approx(
                        [float(each) for each in returns], abs=1e-12
                    )
                else:
                    assert {row[name] for name in RETURNS} == {None}
    assert expected == found.num_rows


@given(markets, st.integers(0, LENGTH - 1))
def test_a_label_does_not_change_when_the_future_beyond_its_span_is_cut(market_of, sessions, drawn, cut):
    """Bit by bit, dividends and splits after the cut included, and cut by the data as by `through`."""
    _, prices, venue = market_of(drawn)
    whole = label_rows(prices, SETS, venue, through=sessions[LENGTH])
    until = np.datetime64(sessions[cut], "us")
    known = prices.filter(pa.array(prices["session"].to_numpy() <= until))
    short = label_rows(known, SETS, venue, through=sessions[LENGTH])
    assert short.equals(label_rows(prices, SETS, venue, through=sessions[cut]))
    if known.num_rows:
        newest = known["session"].to_numpy().max()
        resolved = whole.filter(pa.array(whole["resolves"].to_numpy() <= newest))
        assert order(short).equals(order(resolved))


@given(markets, st.randoms(use_true_random=False))
def test_the_order_of_the_price_rows_does_not_matter(market_of, sessions, drawn, chance):
    _, prices, venue = market_of(drawn)
    places = list(range(prices.num_rows))
    chance.shuffle(places)
    shuffled = label_rows(prices.take(places), SETS, venue, through=sessions[LENGTH])
    assert shuffled.equals(label_rows(prices, SETS, venue, through=sessions[LENGTH]))


def order(rows):
    return rows.sort_by([(name, "ascending") for name in ("label_set", "session", "symbol")])


def one_set(table, name, column="value"):
    return [row[column] for row in table.to_pylist() if row["label_set"] == name]


def test_a_move_of_exactly_half_a_percent_is_neutral(prices_of, venue_of, sessions):
    assert 10.05 / 10.0 - 1 > 0.005  # in binary
    closes = [10.0, 10.05, 10.0, 10.1, 10.1, 10.0]
    rows = label_rows(prices_of({A: closes}), [LABEL_SETS["direction3"]], venue_of(), through=sessions[20])
    assert one_set(rows, "direction3", "direction") == [0, 0, 1, 0, -1]


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_classes_agree_with_decimal_prices(before, after):
    for label_set in (LABEL_SETS["direction3"], LABEL_SETS["dual"]):
        value = Fraction(after, before) - 1
        found = direction(np.array([(after / 100) / (before / 100) - 1]), label_set.classes)
        assert found[0] == exact_direction(value, label_set)


def test_an_ex_dividend_morning_is_no_fall(prices_of, venue_of, sessions):
    prices = prices_of({A: [10.0, 5.0, 5.0]}, factors={A: [1.0, 2.0, 2.0]})
    rows = label_rows(prices, [LABEL_SETS["direction3"]], venue_of(), through=sessions[20])
    assert one_set(rows, "direction3") == [0.0, 0.0]


def test_who_leaves_within_the_span_is_settled_at_the_last_close(prices_of, venue_of, sessions):
    """Leaving such rows out would delete the worst outcomes; B only gives the market its sessions."""
    both = {A: [10.0, 8.0, 4.0, 2.0], SYMBOLS[1]: [10.0] * 9}
    rows = label_rows(prices_of(both), [LABEL_SETS["dual"]], venue_of({A: sessions[3]}), through=sessions[20])
    of_a = [row for row in rows.to_pylist() if row["symbol"] == A]
    assert [row["value"] for row in of_a] == pytest.approx([-0.8, -0.75, -0.5, None])
    assert [row["ended"] for row in of_a] == [True, True, True, False]
    assert of_a[0]["return_4"] == of_a[0]["return_5"] == 0.0
    assert of_a[3]["absent"] == of_a[3]["untradable"] == "delisted"


def test_spans_longer_than_the_prices_give_no_rows_but_the_columns(prices_of, venue_of, sessions):
    five = prices_of({A: [10.0] * 5})
    rows = label_rows(five, [LABEL_SETS["dual"]], venue_of(), through=sessions[20])
    assert (rows.num_rows, rows.schema) == (0, ROWS)
    six = prices_of({A: [10.0] * 6})
    assert label_rows(six, [LABEL_SETS["dual"]], venue_of(), through=sessions[20]).num_rows == 1  # control


def test_no_prices_give_no_rows(prices_of, venue_of, sessions):
    assert label_rows(prices_of({A: []}), SETS, venue_of(), through=sessions[0]).equals(ROWS.empty_table())


def broken(prices, **columns):
    for name, values in columns.items():
        place = prices.schema.get_field_index(name)
        prices = prices.set_column(place, prices.schema.field(place), pa.array(values, prices.schema.field(place).type))
    return prices


@pytest.mark.parametrize("column", ["open", "close", "factor", "previous_close"])
@pytest.mark.parametrize("value", [0.0, -3.0, float("inf")])
def test_what_is_no_price_is_refused_by_name(prices_of, venue_of, sessions, column, value):
    prices = broken(prices_of({A: [10.0, 10.0, 10.0]}), **{column: [10.0, value, 10.0]})
    with pytest.raises(BadLabelInput, match=rf"{column} of {A} in 2024-01-16"):
        label_rows(prices, SETS, venue_of(), through=sessions[20])


def test_a_repeated_key_is_refused(prices_of, venue_of, sessions):
    prices = prices_of({A: [10.0, 11.0, 12.0]})
    with pytest.raises(BadLabelInput, match=f"{A} in 2024-01-16"):
        label_rows(pa.concat_tables([prices, prices.slice(1, 1)]), SETS, venue_of(), through=sessions[20])


def test_a_label_that_is_no_session_is_refused(prices_of, venue_of, sessions):
    prices = prices_of({A: [10.0, 11.0, 12.0]})
    sunday = [sessions[0], np.datetime64("2024-01-21").astype("datetime64[us]").item(), sessions[9]]
    with pytest.raises(BadLabelInput, match="2024-01-21 is no session of XSHG"):
        label_rows(broken(prices, session=sunday), SETS, venue_of(), through=sessions[20])


def test_a_table_without_the_columns_of_prices_is_refused(prices_of, venue_of, sessions):
    with pytest.raises(BadLabelInput, match="factor, suspended"):
        label_rows(prices_of({A: [10.0]}).drop(["factor", "suspended"]), SETS, venue_of(), through=sessions[20])
