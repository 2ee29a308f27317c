"""Whether a quant would believe the demo market: tails, clusters, correlations, limits, and the planted signal."""

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pandas as pd
import pytest

from quant_pipelines.calendars import calendar_named
from quant_pipelines.clock import FixedClock
from quant_pipelines.markets.market import SyntheticSource
from quant_pipelines.markets.rules import TradingRules, load_rules
from quant_pipelines.sources.protocol import BarRequest
from quant_pipelines.sources.synthetic import SyntheticBars

XSHG = calendar_named("XSHG")
BEGINS, ENDS = datetime(2020, 1, 2), datetime(2025, 12, 31)
RANGE = BarRequest(first=BEGINS, last=ENDS)


@pytest.fixture(scope="module")
def source() -> SyntheticBars:
    """The market that ships as `demo`."""
    clock = FixedClock(XSHG.close_of(ENDS))
    return SyntheticBars(SyntheticSource(kind="synthetic", seed=7, symbols=60, sectors=6), XSHG, BEGINS, clock)


@pytest.fixture(scope="module")
def bars(source) -> pd.DataFrame:
    return source.bars(RANGE).to_pandas()


def wide(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    return frame.pivot_table(index="session", columns="symbol", values=column, dropna=False).reindex(
        XSHG.sessions(BEGINS, ENDS)
    )


@pytest.fixture(scope="module")
def adjusted(bars) -> pd.DataFrame:
    return wide(bars.assign(adjusted=bars["close"] * bars["factor"]), "adjusted")


@pytest.fixture(scope="module")
def returns(adjusted) -> pd.DataFrame:
    return adjusted / adjusted.shift(1) - 1


def test_tails_are_fat(returns):
    """Kurtosis is 3 for a normal variable; daily stock returns have 5 to 12."""
    centred = returns - returns.mean()
    kurtosis = (centred**4).mean() / (centred**2).mean() ** 2
    assert 5 < kurtosis.median() < 12
    assert kurtosis.min() > 3


def test_volatility_comes_in_clusters(returns):
    size = returns.abs()
    for lag in (1, 2, 3, 5, 10, 15, 20):
        assert size.apply(lambda column, lag=lag: column.autocorr(lag)).mean() > 0.04
    plain = returns.apply(lambda column: column.autocorr(1)).mean()
    assert abs(plain) < 0.06  # control: returns themselves remember no more than the planted reversal


def test_symbols_move_together_and_more_so_within_a_sector(returns, source):
    correlation = returns.corr().to_numpy()
    tape = source._tape()
    sector = dict(zip(tape.symbols, tape.evolution.character.sector, strict=True))
    sectors = np.array([sector[symbol] for symbol in returns.columns])
    pairs = ~np.eye(len(sectors), dtype=bool)
    same = pairs & (sectors[:, None] == sectors[None, :])
    assert 0.2 < np.nanmean(correlation[pairs]) < 0.35
    assert np.nanmean(correlation[same]) > np.nanmean(correlation[pairs & ~same]) + 0.05


def test_trade_is_brisk_where_prices_move(bars):
    size = (bars["close"] / bars["previous_close"] - 1).abs()
    by_symbol = bars.groupby("symbol")["volume"].apply(lambda volume: np.log(volume).corr(size[volume.index]))
    assert by_symbol.min() > 0.2


def test_the_oracle_is_the_formula_it_claims_to_be(source, adjusted):
    """(MA20 - 1) / STD20 of Alpha158, from the bars alone: suspended sessions stay in the window as missing."""
    claimed = wide(source.oracle_scores(RANGE).to_pandas(), "score")
    window = adjusted.rolling(20, min_periods=1)
    expected = ((window.mean() / adjusted - 1) / (window.std() / adjusted)).where(adjusted.notna())
    np.testing.assert_allclose(claimed.to_numpy(), expected.to_numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("label", ["next", "qlib"])
def test_the_planted_signal_is_worth_about_five_percent(source, returns, label):
    """X-02: against the next session's return, and against Ref($close,-2)/Ref($close,-1)-1."""
    outcome = returns.shift(-1) if label == "next" else returns.shift(-2)
    scores = wide(source.oracle_scores(RANGE).to_pandas(), "score")
    per_session = scores.corrwith(outcome, axis=1).dropna()
    standard_error = per_session.std() / np.sqrt(len(per_session))
    assert standard_error < 0.005
    assert 0.03 < per_session.mean() < 0.07
    yesterday = scores.corrwith(returns.shift(-1).sample(frac=1, random_state=1).set_axis(returns.index), axis=1)
    assert abs(yesterday.mean()) < 4 * standard_error  # control: the same scores know nothing of shuffled sessions


def oracle_limits(previous_close: float, band: Decimal) -> tuple[float, float]:
    reference = Decimal(str(previous_close))
    down, up = ((reference * (1 + sign * band)).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP) for sign in (-1, 1))
    return float(down), float(up)


def test_limits_hold_in_every_session_but_the_free_ones(source, bars):
    rules = TradingRules(load_rules("a_share"), XSHG)
    listed = {each.symbol: each.listed if each.listed > BEGINS else None for each in source.listings()}
    outside, at_limit, free = 0, {"up": 0, "down": 0}, 0
    for row in bars.itertuples():
        band = rules.rule_for(row.symbol, row.session.to_pydatetime(), listed[row.symbol]).band
        if band is None:
            free += 1
            continue
        down, up = oracle_limits(row.previous_close, band)
        outside += not (down <= row.low and row.high <= up)
        at_limit["up"] += row.close == up
        at_limit["down"] += row.close == down
    assert outside == 0
    assert free > 5
    assert at_limit["up"] > 20
    assert at_limit["down"] > 20


def test_a_free_session_may_go_beyond_the_limit():
    """Otherwise the law above could hold because nothing ever moves far."""
    clock = FixedClock(XSHG.close_of(ENDS))
    source = SyntheticBars(SyntheticSource(kind="synthetic", symbols=400), XSHG, BEGINS, clock)
    first_days = {(each.listed, each.symbol) for each in source.listings() if each.listed > BEGINS}
    table = source.bars(RANGE).to_pandas()
    is_first = [key in first_days for key in zip(table["session"], table["symbol"], strict=True)]
    moves = (table["close"] / table["previous_close"] - 1).abs()
    assert moves[is_first].max() > 0.2
    assert moves[~np.array(is_first)].groupby(table["session"].dt.year).max().max() < 0.6


def test_splits_and_dividends_jump_in_raw_prices_and_not_in_adjusted_ones(bars):
    steps = bars.groupby("symbol")
    last_close, last_factor = steps["close"].shift(1), steps["factor"].shift(1)
    event = (bars["factor"] != last_factor) & last_factor.notna()
    drop = 1 - bars["previous_close"] / last_close
    assert (event & (drop > 0.2)).sum() > 20  # splits
    assert (event & (drop < 0.05)).sum() > 50  # dividends
    assert (bars["previous_close"] == last_close)[~event & last_factor.notna()].all()
    raw = (bars["close"] / last_close - 1)[event & (drop > 0.2)]
    clean = (bars["close"] * bars["factor"] / (last_close * last_factor) - 1)[event]
    assert raw.max() < 0
    np.testing.assert_allclose(clean, (bars["close"] / bars["previous_close"] - 1)[event], atol=1e-12)
    assert clean.abs().max() <= 0.21
    assert (steps["factor"].first() == 1.0).all()


def test_other_seeds_are_as_plausible():
    for seed in (1, 2):
        clock = FixedClock(XSHG.close_of(ENDS))
        source = SyntheticBars(SyntheticSource(kind="synthetic", seed=seed), XSHG, BEGINS, clock)
        table = source.bars(RANGE).to_pandas()
        prices = wide(table.assign(adjusted=table["close"] * table["factor"]), "adjusted")
        scores = wide(source.oracle_scores(RANGE).to_pandas(), "score")
        strength = scores.corrwith(prices.shift(-1) / prices - 1, axis=1).mean()
        assert 0.03 < strength < 0.075
