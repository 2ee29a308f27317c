"""Alpha158: the catalogue, the engine against it, and the laws of time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipelines.features.alpha158.catalogue import FACTORS, LOOK_BACK_SESSIONS, NAMES
from quant_pipelines.features.alpha158.engine import compute, mask_suspended
from quant_pipelines.features.expressions.evaluate import evaluate
from quant_pipelines.features.expressions.language import look_back, parse_feature
from quant_pipelines.features.panel import BarPanel, drop_impossible

seeds = st.integers(0, 2**32 - 1)
lengths = st.lists(st.integers(1, 150), min_size=1, max_size=4)


def bits(factors):
    return factors.view(np.uint32)


def column_of(panel, factors, symbol, row):
    return factors[:, panel.offsets[symbol] + row]


def test_there_are_158_factors_with_names_of_their_own_and_a_sentence():
    assert len(FACTORS) == len(set(NAMES)) == 158
    assert all(factor.sentence.endswith(".") for factor in FACTORS)


def test_no_factor_looks_back_further_than_the_catalogue_says():
    assert max(look_back(parse_feature(factor.expression)) for factor in FACTORS) == LOOK_BACK_SESSIONS


@pytest.mark.parametrize("seed", [1, 2])
def test_the_engine_computes_the_catalogue(market, seed):
    """S2-72: two ways to one number, the fused engine and the expressions on the rolling kernels."""
    panel = market(seed, [200, 1, 75, 300])
    factors = compute(panel)
    for factor, row in zip(FACTORS, factors, strict=True):
        expected = evaluate(parse_feature(factor.expression), panel)
        np.testing.assert_allclose(row, expected, rtol=2e-6, atol=2e-6, err_msg=factor.name)


@settings(max_examples=100, deadline=None)
@given(seed=seeds, lengths=lengths, rows=st.integers(1, 40))
def test_an_append_has_the_bits_of_a_full_run(market, seed, lengths, rows):
    """S2-06. Feature: mlops-optimization: only new sessions are computed, from their look-back alone."""
    panel = market(seed, lengths)
    full = compute(panel)
    appended = compute(panel.latest(rows + LOOK_BACK_SESSIONS), newest=rows)
    kept = panel.latest(rows)
    ends = [
        np.arange(max(begin, end - rows), end) for begin, end in zip(panel.offsets[:-1], panel.offsets[1:], strict=True)
    ]
    assert kept.rows == appended.shape[1]
    np.testing.assert_array_equal(bits(appended), bits(full[:, np.concatenate(ends)]))


@settings(max_examples=100, deadline=None)
@given(seed=seeds, lengths=lengths, back=st.integers(0, 160))
def test_the_past_does_not_change_when_the_future_arrives(market, seed, lengths, back):
    panel = market(seed, lengths)
    cut = panel.until(panel.sessions.max() - np.timedelta64(back, "D"))
    before = np.isin(panel.sessions, cut.sessions)
    np.testing.assert_array_equal(bits(compute(cut)), bits(compute(panel)[:, before]))


@settings(max_examples=20, deadline=None)
@given(seed=seeds, lengths=lengths, threads=st.integers(2, 4))
def test_the_number_of_threads_changes_no_bit(market, seed, lengths, threads):
    panel = market(seed, lengths * 3)
    np.testing.assert_array_equal(bits(compute(panel, threads=threads)), bits(compute(panel)))


def test_a_symbols_factors_do_not_depend_on_its_neighbours(market):
    panel = market(9, [90, 400, 20])
    alone = panel.only({"S0001"})
    np.testing.assert_array_equal(bits(compute(alone)), bits(compute(panel)[:, 90:490]))


def test_suspended_sessions_are_masked_in_place_and_only_they(market):
    panel = market(10, [150], suspended=0.2)
    raw = compute(panel)
    masked = mask_suspended(raw.copy(), panel)
    assert panel.suspended.any()
    assert not np.isnan(raw[:, panel.suspended]).all()
    assert np.isnan(masked[:, panel.suspended]).all()
    np.testing.assert_array_equal(bits(masked[:, ~panel.suspended]), bits(raw[:, ~panel.suspended]))


def test_memory_can_be_reused_and_a_wrong_one_is_refused(market):
    panel = market(11, [50])
    memory = np.empty((158, 50), np.float32)
    assert compute(panel, out=memory) is memory
    with pytest.raises(ValueError, match="C-contiguous"):
        compute(panel, out=np.empty((158, 49), np.float32))


def single(close, volume=1e6):
    """One symbol whose prices are all the close."""
    rows = len(close)
    prices = np.asarray(close, np.float32)
    values = np.stack([prices] * 4 + [np.full(rows, volume, np.float32), prices])
    sessions = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-01-01") + rows).astype("datetime64[us]")
    return BarPanel(values, np.array([0, rows]), ("ONE",), sessions)


BAD = {
    "zero prices": single([0.0] * 70),
    "negative prices": single(-np.arange(1.0, 71)),
    "missing prices": single([np.nan] * 70),
    "constant prices": single([5.0] * 70),
    "no volume": single(np.arange(1.0, 71), volume=0.0),
    "one row": single([3.0]),
    "tiny prices": single(1e-8 * np.arange(1.0, 71)),
    "huge prices": single(1e12 * np.arange(1.0, 71)),
    "alternating gaps": single(np.where(np.arange(70) % 2, np.nan, np.arange(1.0, 71))),
    "the largest floats": single([3.4e38, 1e-38] * 35, volume=3.4e38),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_gives_nan_and_never_an_infinity_or_a_warning(kind):
    factors = compute(BAD[kind])
    assert not np.isinf(factors).any()


def test_constant_prices_have_no_spread_and_no_correlation():
    factors = compute(BAD["constant prices"])[:, -1]
    assert factors[NAMES.index("STD5")] == 0
    assert factors[NAMES.index("MA60")] == 1
    assert np.isnan(factors[NAMES.index("RSQR20")])
    assert np.isnan(factors[NAMES.index("CORR10")])


def test_impossible_prices_taken_out_first_leave_the_other_sessions_alone():
    panel = single([4.0, -1.0, 6.0])
    drop_impossible(panel.values)
    assert compute(panel)[NAMES.index("MA5"), 2] == pytest.approx(5 / 6)


def test_a_missing_high_never_wins():
    """Here we differ from pyqlib, whose argmax takes the first NaN for the highest: see the methodology."""
    panel = single([9.0, np.nan, 3.0, 4.0, 5.0])
    factors = compute(panel)[:, -1]
    assert factors[NAMES.index("IMAX5")] == pytest.approx(1 / 5)
    assert factors[NAMES.index("IMIN5")] == pytest.approx(3 / 5)
