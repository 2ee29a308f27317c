"""The nested-window kernels against the slow definitions, and the laws of their tiles."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipelines.kernels import correlation, definitions, extremes, moments, order, ratios, sums
from quant_pipelines.kernels.definitions import rolling_slowly
from quant_pipelines.kernels.tile import LONGEST, TILE, WINDOWS

ENTRIES = (
    correlation.correlations,
    extremes.ages,
    extremes.ranges,
    moments.relative_spreads,
    moments.scaled_spreads,
    moments.trends,
    order.quantiles,
    order.ranks,
    ratios.candles,
    ratios.references,
    sums.shares_by_number,
    sums.shares_by_size,
)
FLOAT32 = {"rtol": 2e-6, "atol": 1e-6}


def a_series(seed, size=700, *, low=1.0):
    rng = np.random.default_rng(seed)
    series = np.round(rng.uniform(low, 40, size), 1).astype(np.float32)
    series[rng.random(size) < 0.1] = np.nan
    begin = int(rng.integers(size - 70))
    series[begin : begin + 65] = np.nan
    series[rng.integers(size, size=3)] = np.inf
    return series


def whole(offsets):
    return np.stack([offsets[:-1], offsets[:-1], offsets[1:], offsets[:-1]], axis=1)


OFFSETS = np.array([0, 1, 4, 300, 300, 700], np.int64)
SPANS = whole(OFFSETS)
X, Y = a_series(1), a_series(2)
SCALE = np.where(np.isfinite(Y), Y, np.float32(np.nan))


def slowly(statistic, *series):
    """One row per window."""
    wide = [each.astype(np.float64) for each in series]
    return np.stack([rolling_slowly(statistic, window, OFFSETS, *wide) for window in WINDOWS]).astype(float)


def rows(number):
    return np.full((number * len(WINDOWS), X.size), -1, np.float32)


def finite(series):
    return np.where(np.isfinite(series), series, np.nan).astype(np.float64)


@pytest.fixture(autouse=True)
def _quiet():
    with np.errstate(all="ignore"):
        yield


def test_trends_agree_with_their_definitions():
    out = rows(5)
    moments.trends(X, SPANS, out)
    mean, std, slope, rsquare, resi = out.reshape(5, len(WINDOWS), -1)
    scale = finite(X)
    np.testing.assert_allclose(mean, slowly(definitions.mean, X) / scale, **FLOAT32)
    np.testing.assert_allclose(std, slowly(definitions.std, X) / scale, **FLOAT32)
    np.testing.assert_allclose(slope, slowly(definitions.slope, X) / scale, **FLOAT32)
    np.testing.assert_allclose(rsquare, slowly(definitions.rsquare, X), **FLOAT32)
    np.testing.assert_allclose(resi, slowly(definitions.resi, X) / scale, **FLOAT32)


def test_spreads_agree_with_their_definitions():
    scaled, relative = rows(2), rows(1)
    moments.scaled_spreads(X, SCALE, SPANS, scaled)
    moments.relative_spreads(X, SPANS, relative)
    mean, std = slowly(definitions.mean, X), slowly(definitions.std, X)
    np.testing.assert_allclose(scaled, np.concatenate([mean, std]) / finite(Y), **FLOAT32)
    np.testing.assert_allclose(relative, std / (mean + 1e-12), **FLOAT32)


def test_correlations_agree_with_their_definition():
    out = rows(1)
    correlation.correlations(X, Y, SPANS, out)
    np.testing.assert_allclose(out, slowly(definitions.corr, X, Y), **FLOAT32)


def test_ranges_agree_with_their_definitions():
    out, places = rows(2), rows(1)
    extremes.ranges(X, Y, X, SPANS, out, places)
    highest, lowest = slowly(definitions.highest, X), slowly(definitions.lowest, Y)
    np.testing.assert_allclose(out, np.concatenate([highest, lowest]) / finite(X), **FLOAT32)
    expected = (finite(X) - lowest) / (highest - lowest + 1e-12)
    np.testing.assert_allclose(places, np.where(np.abs(expected) < 3e38, expected, np.nan), **FLOAT32)


def test_ages_agree_with_their_definitions():
    out = rows(3)
    extremes.ages(X, Y, SPANS, out)
    lengths = np.array(WINDOWS)[:, None]
    highest, lowest = slowly(definitions.argmax, X) / lengths, slowly(definitions.argmin, Y) / lengths
    np.testing.assert_allclose(out, np.concatenate([highest, lowest, highest - lowest]), **FLOAT32)


def test_quantiles_and_ranks_agree_with_their_definitions():
    out, ranked = rows(2), rows(1)
    order.quantiles(X, SCALE, SPANS, out)
    order.ranks(X, SPANS, ranked)
    expected = [slowly(definitions.quantile(share), X) for share in (0.8, 0.2)]
    np.testing.assert_allclose(out, np.concatenate(expected) / finite(Y), **FLOAT32)
    np.testing.assert_allclose(ranked, slowly(definitions.rank, X), **FLOAT32)


def test_shares_agree_with_their_definitions():
    by_size, by_number = rows(3), rows(3)
    change = X - np.float32(20)
    sums.shares_by_size(change, SPANS, by_size)
    sums.shares_by_number(change, SPANS, by_number)
    gains, losses = (slowly(definitions.total, np.maximum(sign * change, 0)) for sign in (1, -1))
    moved = gains + losses + 1e-12
    np.testing.assert_allclose(
        by_size, np.concatenate([gains, losses, gains - losses]) / np.tile(moved, (3, 1)), **FLOAT32
    )
    ups, downs = (slowly(np.mean, finite(sign * change) > 0) for sign in (1, -1))
    np.testing.assert_allclose(by_number, np.concatenate([ups, downs, ups - downs]), **FLOAT32)


RUNS = {
    "trends": (partial(moments.trends, X), 25),
    "spreads": (partial(moments.scaled_spreads, X, Y), 10),
    "relative": (partial(moments.relative_spreads, X), 5),
    "correlations": (partial(correlation.correlations, X, Y), 5),
    "quantiles": (partial(order.quantiles, X, Y), 10),
    "ranks": (partial(order.ranks, X), 5),
    "ages": (partial(extremes.ages, X, Y), 15),
    "shares": (partial(sums.shares_by_size, X), 15),
    "numbers": (partial(sums.shares_by_number, X), 15),
    "references": (partial(ratios.references, X), 5),
}


@pytest.mark.parametrize("family", RUNS)
@settings(max_examples=25, deadline=None)
@given(begin=st.integers(0, 399), length=st.integers(1, TILE + 40))
def test_any_stretch_of_rows_has_the_bits_of_the_whole(family, begin, length):
    run, number = RUNS[family]
    out = np.full((number, X.size), -1, np.float32)
    run(SPANS, out)
    first, end = 300 + begin, min(300 + begin + length, 700)
    part = np.full((number, end - first), -1, np.float32)
    run(np.array([[300, first, end, 0]], np.int64), part)
    np.testing.assert_array_equal(part.view(np.uint32), out[:, first:end].view(np.uint32))


def test_what_lies_before_the_look_back_is_never_read():
    changed = X.copy()
    changed[: 600 - LONGEST] = 7.0
    spans = np.array([[300, 600, 700, 0]], np.int64)
    before, after = np.empty((25, 100), np.float32), np.empty((25, 100), np.float32)
    moments.trends(X, spans, before)
    moments.trends(changed, spans, after)
    np.testing.assert_array_equal(before.view(np.uint32), after.view(np.uint32))


def test_no_family_emits_an_infinity_or_a_negative_zero():
    for run, number in RUNS.values():
        out = np.full((number, X.size), -1, np.float32)
        run(SPANS, out)
        assert not np.isinf(out).any()
        assert not np.signbit(out[out == 0]).any()
