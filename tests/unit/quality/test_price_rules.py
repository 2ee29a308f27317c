"""Checked prices: each rule finds what it is for, and nothing where that is not."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.calendars import AlwaysOpen
from quant_pipelines.clock import FixedClock
from quant_pipelines.markets.market import Market, Quality, SyntheticSource, Universe
from quant_pipelines.quality import PRICE_RULES, RAW_RULES, Facts, facts_for
from quant_pipelines.quality.examples import examples_of
from quant_pipelines.quality.rules import Frames
from quant_pipelines.sources.protocol import Listing
from tests.unit.quality.making import (
    FACTS,
    LISTINGS,
    NO_PRICES,
    ONE_LISTING,
    SATURDAY,
    SESSIONS,
    every_session,
    prices,
)

RULES = {rule.name: rule for rule in PRICE_RULES}
SUSPENDED: dict[str, Any] = {**NO_PRICES, "suspended": True}


def found(table: Any, facts: Facts = ONE_LISTING) -> dict[str, list[str]]:
    """Every broken rule with its findings in words, by the fast forms."""
    frames = Frames(table, facts)
    verdicts = [(rule.judge(frames.of(rule.view), facts), frames.of(rule.view)) for rule in PRICE_RULES]
    return {v.rule.name: examples_of(v, frame, count=99) for v, frame in verdicts if v.mask.any()}


def session_with(**change: Any) -> Any:
    """Clean prices but for the fourth session."""
    rows = every_session()
    rows[3] |= change
    return prices(*rows)


HARD = [
    ({"session": SESSIONS[2]}, "unique_key", "600000 has more than one row in 2024-01-04"),
    ({"close": None}, "priced", "close is missing"),
    ({"factor": float("nan")}, "finite", "factor is no finite number"),
    ({"vwap": 0.0}, "positive_price", "vwap is 0"),
    ({"high": 9.8}, "high_encloses", "high 9.8 is below open 9.9; high 9.8 is below close 10"),
    ({"low": 9.95}, "low_encloses", "low 9.95 is above open 9.9"),
    ({"volume": -2.0}, "traded_not_negative", "volume is -2"),
    ({"factor": -1.0}, "positive_factor", "factor is -1"),
    ({"suspended": True}, "flags_consistent", "open is 9.9; high is 10.2; low is 9.7; close is 10; vwap is 10"),
    ({**NO_PRICES, "suspended": True, "quarantined": True}, "flags_consistent", "it is both suspended and quarantined"),
    ({"session": SATURDAY}, "is_session", "2024-01-06 is no session of the calendar"),
]


@pytest.mark.parametrize(("change", "rule", "words"), HARD, ids=[f"{rule}-{'-'.join(c)}" for c, rule, _ in HARD])
def test_what_publication_must_have_kept_is_checked(change, rule, words):
    """X-44: schema, nulls, duplicates and OHLC rules are blocking."""
    findings = found(session_with(**change))
    assert RULES[rule].severity == "hard"
    assert words in findings[rule][0]
    assert [name for name in findings if RULES[name].severity == "hard"] == [rule]


def test_clean_prices_break_nothing():
    assert found(prices(*every_session())) == {}
    assert found(session_with(vwap=10.2 * (1 + 1e-7))) == {}, "a rounding step outside the bar is no finding"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"close": 12.0, "high": 12.0, "previous_close": 9.9}, "the adjusted return 0.21"),
        ({"close": 7.5, "low": 7.5, "previous_close": 10.0}, "the adjusted return -0.25 is below -0.2"),
        ({"close": 15.0, "high": 15.0, "previous_close": None}, "the adjusted return 0.5 is above 0.2"),
    ],
    ids=["up", "down", "against the last close at hand"],
)
def test_a_jump_beyond_the_markets_threshold_is_a_spike(change, words):
    findings = found(session_with(**change))
    assert words in findings["spike"][0]
    assert found(session_with(**change), replace(ONE_LISTING, quality=Quality(spike_return=0.9))) == {}


def test_a_return_too_large_for_a_number_is_a_spike_and_no_crash():
    rows = every_session()
    rows[2] |= {"close": 1e-300, "low": 1e-300}
    rows[3] |= {"close": 1e300, "high": 1e300, "previous_close": None}
    assert "the adjusted return inf is above 0.2" in found(prices(*rows))["spike"][1]


def test_a_split_is_no_spike():
    """A two-for-one split halves the price and doubles the factor: the adjusted return is nothing."""
    rows = [{**each, "previous_close": None} for each in every_session()]
    halved = {"open": 4.95, "high": 5.1, "low": 4.85, "close": 5.0, "vwap": 5.0}
    split = [{**each, **halved, "factor": 2.0} if each["session"] >= SESSIONS[4] else each for each in rows]
    unexplained = [{**each, "factor": 1.0} for each in split]
    assert found(prices(*split)) == {}
    assert set(found(prices(*unexplained))) == {"spike"}


def test_a_symbol_that_has_factors_should_have_one_in_every_session():
    assert found(session_with(factor=None)) == {
        "factor_known": [
            "2024-01-05 600000: factor is missing; a symbol with adjustment factors has one in every session"
        ]
    }
    assert found(prices(*({**each, "factor": None} for each in every_session()))) == {}, "a market without factors"


@pytest.mark.parametrize("missing", [2, 3, 4])
def test_a_gap_begins_at_the_markets_threshold(missing):
    absent = tuple(SESSIONS[2 : 2 + missing])
    facts = replace(ONE_LISTING, quality=replace_quality(minimum_coverage=0.0))
    findings = found(prices(*every_session(without=absent)), facts)
    suspended = [{**each, **(SUSPENDED if each["session"] in absent else {})} for each in every_session()]
    assert bool(findings) == (missing >= FACTS.quality.gap_sessions)
    assert found(prices(*suspended), facts) == findings, "a suspension this long is worth a look, too"
    if findings:
        assert findings["gap"][0].startswith(
            f"2024-01-04 600000: no price in {missing} sessions, to {absent[-1]:%Y-%m-%d}; "
        )


def test_coverage_counts_the_listed_symbols_only():
    both = prices(*every_session(), *every_session("600001"))
    alone = prices(*every_session())
    assert "coverage" not in found(both, FACTS)
    listed = [each for each in SESSIONS if LISTINGS[1].listed <= each <= (LISTINGS[1].delisted or each)]
    assert [each[:10] for each in found(alone, FACTS)["coverage"]] == [f"{each:%Y-%m-%d}" for each in listed]
    assert "1 of 2 listed symbols have a price, 0.8 of them are wanted" in found(alone, FACTS)["coverage"][0]


def test_symbols_outside_the_universe_are_not_missed():
    facts = replace(FACTS, universe=frozenset({"600000"}))
    assert found(prices(*every_session()), facts) == {}


@pytest.mark.parametrize("behind", [0, 1, 2, 3])
def test_prices_are_stale_when_more_sessions_have_closed_than_the_market_allows(behind):
    kept = SESSIONS[: len(SESSIONS) - behind]
    facts = replace(ONE_LISTING, last=kept[-1])
    findings = found(prices(*({"session": each} for each in kept)), facts)
    assert bool(findings) == (behind > FACTS.quality.stale_after_sessions)
    if findings:
        assert findings["freshness"][0].startswith(
            "the newest session is 2024-01-10, 3 sessions before the last closed one, 2024-01-15; "
        )


def test_sessions_that_have_not_closed_are_not_missed():
    facts = replace(ONE_LISTING, last_closed=SESSIONS[4])
    assert found(prices(*every_session(without=tuple(SESSIONS[5:]))), facts) == {}


def test_an_hourly_market_is_named_by_the_hour():
    hours = AlwaysOpen(timedelta(hours=1))
    begin = datetime(2024, 1, 6, 22)
    listing = Listing(symbol="BTC", listed=begin)
    labels = hours.sessions(begin, begin + timedelta(hours=3))
    facts = replace(
        FACTS, calendar=hours, first=labels[0], last=labels[-1], last_closed=labels[-1], listings=(listing,)
    )
    rows = [{"session": each, "symbol": "BTC"} for each in labels]
    assert found(prices(*rows), facts) == {}
    rows[1]["volume"] = -1.0
    assert found(prices(*rows), facts)["traded_not_negative"][0].startswith("2024-01-06T23:00 BTC: volume is -1;")


@given(st.lists(st.tuples(st.sampled_from(SESSIONS), st.sampled_from(["600000", "600001", "600002"])), unique=True))
def test_gaps_and_coverage_are_what_counting_gives(held):
    frames = Frames(prices(*({"session": session, "symbol": symbol} for session, symbol in held)), FACTS)
    gaps = frames.of(RULES["gap"].view).table.to_pylist()
    assert [(each["symbol"], each["session"], each["until"], each["missing_sessions"]) for each in gaps] == [
        run for listing in LISTINGS for run in gaps_slowly(listing, set(held))
    ]
    for row in frames.of(RULES["coverage"].view).table.to_pylist():
        listed = [each.symbol for each in LISTINGS if is_listed(each, row["session"])]
        priced = [symbol for symbol in listed if (row["session"], symbol) in held]
        assert (row["listed_symbols"], row["priced_symbols"]) == (len(listed), len(priced))


def is_listed(listing: Listing, session: datetime) -> bool:
    return listing.listed <= session <= (listing.delisted or session)


def gaps_slowly(listing: Listing, held: set[tuple[datetime, str]]) -> list[tuple[str, datetime, datetime, int]]:
    runs: list[list[datetime]] = [[]]
    for session in SESSIONS:
        if is_listed(listing, session) and (session, listing.symbol) not in held:
            runs[-1].append(session)
        else:
            runs.append([])
    return [(listing.symbol, run[0], run[-1], len(run)) for run in runs if run]


def replace_quality(**change: float) -> Quality:
    return Quality(**(FACTS.quality.model_dump() | change))


class TestFacts:
    """Facts are the market's own configuration, as of an instant."""

    clock = FixedClock(datetime.fromisoformat("2024-01-10T12:00:00+00:00"))

    def market(self, universe: Universe) -> Market:
        return Market(
            name="demo",
            description="for tests",
            calendar="XSHG",
            currency="CNY",
            first_session=SESSIONS[0].date(),
            source=SyntheticSource(kind="synthetic"),
            missing_bar="suspended",
            rules="a_share",
            universe=universe,
            quality=FACTS.quality,
        )

    def test_they_are_read_off_the_market_and_the_clock(self):
        facts = facts_for(self.market(Universe()), LISTINGS, FACTS, self.clock)
        assert facts == replace(FACTS, last_closed=datetime(2024, 1, 10))
        assert facts.sessions == tuple(SESSIONS)
        assert facts.closed_sessions == tuple(SESSIONS[:7])

    def test_a_listed_universe_narrows_what_is_expected(self):
        facts = facts_for(self.market(Universe(symbols=("600001",))), LISTINGS, FACTS, self.clock)
        assert facts.expected_listings == LISTINGS[1:]
        assert facts.listings == LISTINGS

    def test_a_window_runs_forward(self):
        with pytest.raises(ValueError, match="A window runs forward"):
            replace(FACTS, first=SESSIONS[1], last=SESSIONS[0])


def test_every_rule_has_a_name_of_its_own():
    for rules in (RAW_RULES, PRICE_RULES):
        assert len({rule.name for rule in rules}) == len(rules)
