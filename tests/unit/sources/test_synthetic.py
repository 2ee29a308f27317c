"""What the synthetic source promises beyond every source: it grows with the clock and never rewrites its past."""

import subprocess
import sys
from bisect import bisect_right
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipelines.calendars import Calendar, Session, calendar_named
from quant_pipelines.clock import FixedClock
from quant_pipelines.digest import digest_json
from quant_pipelines.markets.market import SyntheticSource
from quant_pipelines.markets.rules import load_rules
from quant_pipelines.sources.protocol import BARS, BarRequest
from quant_pipelines.sources.synthetic import SCORES, SyntheticBars, TooManySymbols
from quant_pipelines.sources.synthetic.tape import new_tape, tape_for

BEGINS = datetime(2020, 1, 2)
XSHG = calendar_named("XSHG")
SESSIONS = XSHG.sessions(BEGINS, datetime(2024, 12, 31))
EVERYTHING = BarRequest(first=datetime(1990, 1, 1), last=datetime(2090, 1, 1))

ANOTHER_PROCESS = """
import sys
from datetime import datetime
from quant_pipelines.calendars import calendar_named
from quant_pipelines.clock import FixedClock
from quant_pipelines.digest import digest_json
from quant_pipelines.markets.market import SyntheticSource
from quant_pipelines.sources.protocol import BarRequest
from quant_pipelines.sources.synthetic import SyntheticBars

calendar = calendar_named("XSHG")
clock = FixedClock(calendar.close_of(datetime(2021, 6, 30)))
source = SyntheticBars(SyntheticSource(kind="synthetic", symbols=20), calendar, datetime(2020, 1, 2), clock)
table = source.bars(BarRequest(first=datetime(2021, 1, 4), last=datetime(2021, 6, 30)))
sys.stdout.write(digest_json([[str(cell) for cell in column] for column in table.to_pydict().values()]))
"""


def market(
    last: Session, *, seed: int = 7, symbols: int = 30, calendar: Calendar = XSHG, begins: Session = BEGINS
) -> SyntheticBars:
    """The market on the evening of `last`."""
    config = SyntheticSource(kind="synthetic", seed=seed, symbols=symbols)
    return SyntheticBars(config, calendar, begins, FixedClock(calendar.close_of(last)))


def forget() -> None:
    """As in a new process: nothing made before is reused."""
    tape_for.cache_clear()


def until(table: pa.Table, last: Session) -> pa.Table:
    return table.filter(pc.less_equal(table["session"], pa.scalar(last, pa.timestamp("us"))))


@settings(max_examples=25)
@given(
    seed=st.integers(-5, 2**70),
    symbols=st.integers(1, 40),
    ends=st.tuples(st.integers(0, 320), st.integers(0, 320)).map(sorted),
)
def test_the_past_does_not_change_when_the_future_arrives(seed, symbols, ends):
    earlier, later = SESSIONS[ends[0]], SESSIONS[ends[1]]
    forget()
    short = market(earlier, seed=seed, symbols=symbols)
    before, scores_before, listings_before = short.bars(EVERYTHING), short.oracle_scores(EVERYTHING), short.listings()
    forget()
    long = market(later, seed=seed, symbols=symbols)
    assert until(long.bars(EVERYTHING), earlier).equals(before)
    assert until(long.oracle_scores(EVERYTHING), earlier).equals(scores_before)
    still_known = {(each.symbol, each.listed) for each in long.listings()}
    assert {(each.symbol, each.listed) for each in listings_before} <= still_known


@settings(max_examples=20)
@given(days=st.lists(st.integers(0, 400), min_size=2, max_size=5))
def test_a_clock_that_moves_on_or_back_gives_what_a_fresh_market_gives(days):
    forget()
    met_before = [market(SESSIONS[day]).bars(EVERYTHING) for day in days]
    for day, known in zip(days, met_before, strict=True):
        forget()
        assert market(SESSIONS[day]).bars(EVERYTHING).equals(known)


@settings(max_examples=40)
@given(span=st.tuples(st.integers(0, 400), st.integers(0, 400)).map(sorted), data=st.data())
def test_a_narrower_request_is_contained_in_a_wider_one(span, data):
    source = market(SESSIONS[400])
    whole = source.bars(EVERYTHING)
    chosen = data.draw(st.frozensets(st.sampled_from(sorted(set(whole["symbol"].to_pylist()))), max_size=5))
    first, last = SESSIONS[span[0]], SESSIONS[span[1]]
    inside = until(whole, last).filter(pc.greater_equal(until(whole, last)["session"], first))
    expected = inside.filter(pc.is_in(inside["symbol"], pa.array(sorted(chosen), pa.string())))
    assert source.bars(BarRequest(first=first, last=last)).equals(inside)
    assert source.bars(BarRequest(first=first, last=last, symbols=chosen)).equals(expected)


def test_a_market_with_more_symbols_contains_the_smaller_one():
    small, large = (
        market(SESSIONS[300], symbols=12).bars(EVERYTHING),
        market(SESSIONS[300], symbols=40).bars(EVERYTHING),
    )
    names = pc.unique(small["symbol"])
    assert large.filter(pc.is_in(large["symbol"], names)).equals(small)


def test_bars_keep_the_schema_the_order_and_the_bar_rules():
    table = market(SESSIONS[-1], symbols=60).bars(EVERYTHING)
    assert table.schema == BARS
    keys = list(zip(table["session"].to_pylist(), table["symbol"].to_pylist(), strict=True))
    assert keys == sorted(set(keys))
    assert sum(column.null_count for column in table.columns) == 0
    bar = {name: table[name].to_numpy() for name in BARS.names}
    assert (bar["low"] > 0).all()
    assert (bar["high"] >= np.maximum(bar["open"], bar["close"])).all()
    assert (bar["low"] <= np.minimum(bar["open"], bar["close"])).all()
    for name in ("open", "high", "low", "close", "previous_close"):
        np.testing.assert_array_equal(bar[name], np.round(bar[name], 2))
    assert (bar["volume"] >= 100).all()
    assert (bar["volume"] % 100 == 0).all()
    vwap = bar["amount"] / bar["volume"]
    assert ((bar["low"] <= vwap) & (vwap <= bar["high"])).all()


def test_another_process_makes_the_same_market():
    """Reproducibility: nothing depends on hash seeds, memory or the order of requests."""
    digests = {
        subprocess.run(
            [sys.executable, "-c", ANOTHER_PROCESS],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hash_seed},
            cwd=Path(__file__).parents[3],
        ).stdout
        for hash_seed in ("1", "2")
    }
    table = market(datetime(2021, 6, 30), symbols=20).bars(
        BarRequest(first=datetime(2021, 1, 4), last=datetime(2021, 6, 30))
    )
    assert digests == {digest_json([[str(cell) for cell in column] for column in table.to_pydict().values()])}


@pytest.mark.parametrize("seeds", [(1, 2), (0, -1), (2**63, 2**63 + 1)])
def test_seeds_make_different_markets(seeds):
    """Large ones too: as floating-point numbers the last two would be the same."""
    one, other = (market(SESSIONS[50], seed=seed).bars(EVERYTHING) for seed in seeds)
    assert not one.equals(other)


def test_the_watermark_is_the_last_closed_session_and_its_token_moves_with_it():
    evening = XSHG.close_of(SESSIONS[10])
    config = SyntheticSource(kind="synthetic")
    marks = [
        SyntheticBars(config, XSHG, BEGINS, FixedClock(at)).watermark()
        for at in (evening - timedelta(seconds=1), evening, evening + timedelta(hours=8), XSHG.close_of(SESSIONS[11]))
    ]
    assert [mark.last_session for mark in marks] == [SESSIONS[9], SESSIONS[10], SESSIONS[10], SESSIONS[11]]
    assert marks[1].token == marks[2].token
    assert len({mark.token for mark in marks}) == 3
    other = SyntheticBars(SyntheticSource(kind="synthetic", seed=8), XSHG, BEGINS, FixedClock(evening))
    assert other.watermark().token != marks[1].token


def test_a_market_that_has_not_begun_is_empty():
    source = market(XSHG.sessions(datetime(2019, 12, 1), datetime(2019, 12, 31))[-1])
    assert source.watermark().last_session is None
    assert source.listings() == ()
    assert source.bars(EVERYTHING).equals(BARS.empty_table())
    assert source.oracle_scores(EVERYTHING).equals(SCORES.empty_table())


def test_a_request_between_sessions_or_for_strangers_is_empty():
    source = market(SESSIONS[20])
    weekend = BarRequest(first=datetime(2020, 1, 4), last=datetime(2020, 1, 5))
    strangers = BarRequest(first=BEGINS, last=SESSIONS[20], symbols=frozenset({"AAPL"}))
    assert source.bars(weekend).num_rows == 0
    assert source.bars(strangers).num_rows == 0
    assert source.bars(BarRequest(first=BEGINS, last=SESSIONS[20])).num_rows > 0


def test_a_delisting_is_known_only_once_it_has_happened():
    last = market(SESSIONS[-1], symbols=60)
    leavers = [each for each in last.listings() if each.delisted is not None]
    assert leavers
    for each in leavers:
        on_the_day = {known.symbol: known for known in market(each.delisted, symbols=60).listings()}
        next_day = {known.symbol: known for known in market(XSHG.offset(each.delisted, 1), symbols=60).listings()}
        assert on_the_day[each.symbol].delisted is None
        assert next_day[each.symbol].delisted == each.delisted


def test_bars_lie_within_their_listings_and_new_listings_appear():
    source = market(SESSIONS[-1], symbols=60)
    listings = {each.symbol: each for each in source.listings()}
    assert list(listings) == sorted(listings)
    rows = source.bars(EVERYTHING).select(["session", "symbol"]).to_pydict()
    seen: dict[str, list[datetime]] = {}
    for session, symbol in zip(rows["session"], rows["symbol"], strict=True):
        seen.setdefault(symbol, []).append(session)
    assert seen.keys() == listings.keys()
    for symbol, sessions in seen.items():
        assert listings[symbol].listed <= sessions[0]
        assert listings[symbol].delisted is None or sessions[-1] <= listings[symbol].delisted
    late = [each for each in listings.values() if each.listed > BEGINS]
    assert late
    assert all(seen[each.symbol][0] == each.listed for each in late)


def test_suspended_symbols_have_no_rows_and_come_back_at_their_old_reference():
    table = market(SESSIONS[-1], symbols=60).bars(EVERYTHING).to_pandas()
    position = {session: at for at, session in enumerate(SESSIONS)}
    suspensions = 0
    for _, bars in table.groupby("symbol"):
        gaps = bars["session"].map(position).diff() > 1
        suspensions += int(gaps.sum())
        resumed = bars[gaps & (bars["factor"] == bars["factor"].shift(1))]
        np.testing.assert_array_equal(resumed["previous_close"], bars["close"].shift(1)[resumed.index])
    assert suspensions > 100


def test_what_was_forgotten_is_made_again_and_equal():
    """Memory is bounded: a large market keeps only some blocks, and remakes the others from checkpoints."""
    config = SyntheticSource(kind="synthetic", symbols=30)
    forgetful, faithful = (new_tape(config, XSHG, load_rules("a_share")) for _ in range(2))
    forgetful.kept_bars = 1
    for first, stop in ((300, 400), (0, 70), (130, 131), (0, 400), (64, 128)):
        once = list(forgetful.stretches(SESSIONS[:400], first, stop))
        again = list(faithful.stretches(SESSIONS[:400], first, stop))
        assert len(forgetful.blocks) == 1
        for (begin, bars, rows), (other_begin, other_bars, other_rows) in zip(once, again, strict=True):
            assert (begin, rows) == (other_begin, other_rows)
            np.testing.assert_array_equal(bars.close[rows], other_bars.close[rows])
            np.testing.assert_array_equal(bars.score[rows], other_bars.score[rows])
    assert len(faithful.blocks) > 1


def test_single_session_requests_make_nothing_again():
    source = market(SESSIONS[-1])
    source.bars(EVERYTHING)
    tape = source._tape()
    made = {block: id(bars) for block, (_, bars) in tape.blocks.items()}
    for session in SESSIONS:
        source.bars(BarRequest(first=session, last=session))
    assert {block: id(bars) for block, (_, bars) in tape.blocks.items()} == made


@pytest.mark.parametrize(("calendar", "bar"), [("XNYS", "1d"), ("24/7", "1d"), ("24/7", "1h")])
def test_other_calendars_have_a_market_too(calendar, bar):
    """X-01: nothing assumes A-shares; around the clock means weekends as well."""
    known = calendar_named(calendar, bar)
    sessions = known.sessions(datetime(2021, 1, 4), datetime(2022, 3, 1))
    table = market(sessions[-1], calendar=known, begins=sessions[0]).bars(EVERYTHING)
    assert set(table["session"].to_pylist()) == set(sessions)
    assert {session.weekday() for session in sessions} == set(range(7 if calendar == "24/7" else 5))
    returns = np.log(table["close"].to_numpy() / table["previous_close"].to_numpy())
    per_day = returns.std() * np.sqrt(timedelta(days=1) / known.step)
    assert 0.01 < per_day < 0.04
    if bar == "1d":
        assert np.abs(returns).max() > np.log(1.1)  # no limit holds it


def test_the_coins_of_the_default_universe_exist():
    """S1-65."""
    sessions = calendar_named("24/7").sessions(datetime(2024, 1, 1), datetime(2024, 2, 1))
    source = market(sessions[-1], calendar=calendar_named("24/7"), begins=sessions[0], symbols=3)
    assert [each.symbol for each in source.listings()] == ["BTC", "ETH", "SOL"]


def test_boards_follow_from_the_codes_and_there_are_codes_for_all():
    source = market(SESSIONS[0], symbols=5_000)
    book = load_rules("a_share")
    symbols = source._tape().symbols
    assert len(set(symbols)) == 5_000
    assert {book.board_of(symbol).name for symbol in symbols} == {"main", "chinext", "star"}
    with pytest.raises(TooManySymbols, match=r"5001 symbols .* Set source\.symbols to 5000"):
        market(SESSIONS[0], symbols=5_001).listings()


def test_sessions_are_counted_from_the_first_of_the_calendar():
    """A first day that is a holiday is no session; the market begins with the next one."""
    source = market(SESSIONS[3], begins=datetime(2020, 1, 1))
    assert source.bars(EVERYTHING)["session"][0].as_py() == BEGINS
    assert bisect_right(SESSIONS, SESSIONS[3]) == len(set(source.bars(EVERYTHING)["session"].to_pylist()))
