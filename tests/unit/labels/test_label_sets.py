"""What the label sets promise, and what they are in qlib's words."""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest

from quant_pipelines.calendars import calendar_named
from quant_pipelines.features.expressions.evaluate import evaluate
from quant_pipelines.features.expressions.language import parse
from quant_pipelines.features.panel import BarPanel
from quant_pipelines.labels import LABEL_SETS, RETURNS, BadLabelSettings, Classes, LabelSet, direction3, label_rows

XSHG = calendar_named("XSHG")


def test_there_are_the_three_sets_with_their_spans():
    spans = {each.name: (each.opens_after, each.resolves_after, each.width) for each in LABEL_SETS.values()}
    assert spans == {"direction3": (0, 1, 1), "dual": (0, 5, 5), "qlib_return": (1, 2, 1)}


def test_spans_count_sessions_and_not_days():
    """The last session before the spring festival of 2024: the market came back on 19 February."""
    eve = datetime(2024, 2, 8)
    assert LABEL_SETS["qlib_return"].span(eve, XSHG) == (datetime(2024, 2, 19), datetime(2024, 2, 20))
    assert LABEL_SETS["qlib_return"].resolved_in(datetime(2024, 2, 20), XSHG) == eve


def test_the_threshold_is_half_a_percent_and_a_move_of_one_is_up():
    classes = LABEL_SETS["direction3"].classes
    assert (classes.up_above, classes.down_below) == (0.005, -0.005)


def test_another_horizon_or_threshold_shows_in_the_name():
    assert direction3().name == "direction3"
    assert direction3(horizon_sessions=5).name == "direction3_5_0.005"
    assert direction3(threshold=0.01).name == "direction3_1_0.01"


@pytest.mark.parametrize(
    "make",
    [
        lambda: LabelSet(name="x", opens_after=0, resolves_after=0),
        lambda: LabelSet(name="x", opens_after=-1, resolves_after=1),
        lambda: LabelSet(name="x", opens_after=0, resolves_after=3, by_session=True),
        lambda: direction3(horizon_sessions=0),
        lambda: direction3(threshold=0.5),
        lambda: direction3(threshold=-0.005),
        lambda: Classes(up_above=0.0, down_below=0.01),
        lambda: Classes(up_above=float("nan")),
    ],
)
def test_a_set_without_a_meaning_is_refused(make):
    with pytest.raises(BadLabelSettings):
        make()


def test_percent_given_as_a_fraction_is_refused_with_the_remedy():
    with pytest.raises(BadLabelSettings, match=r"half a percent is 0\.005"):
        direction3(threshold=0.5)


def test_qlib_return_is_that_of_qlib_s_expression(prices_of, venue_of, sessions):
    """Through the expression engine, which is held against pyqlib itself; float32 as there."""
    rng = np.random.default_rng(4)
    closes = np.round(10 * np.exp(np.cumsum(rng.normal(0, 0.02, (20, 2)), axis=0)), 2)
    symbols = ("000002.SZ", "600001.SH")
    prices = prices_of(dict(zip(symbols, closes.T.tolist(), strict=True)))
    rows = label_rows(prices, [LABEL_SETS["qlib_return"]], venue_of(), through=sessions[19])
    bars = {name: closes.T.ravel() for name in ("open", "high", "low", "close", "volume", "vwap")}
    panel = BarPanel.from_table(pa.table({"session": sessions[:20] * 2, "symbol": np.repeat(symbols, 20), **bars}))
    expected = evaluate(parse("Ref($close, -2) / Ref($close, -1) - 1"), panel).reshape(2, 20)[:, :18]
    np.testing.assert_allclose(np.array(rows["value"]).reshape(18, 2).T, expected, atol=2e-7)


def test_dual_is_five_daily_returns_that_compound_to_its_value(prices_of, venue_of, sessions):
    closes = [10.0, 10.2, 9.9, 10.0, 10.4, 10.1, 9.8]
    rows = label_rows(prices_of({"600001.SH": closes}), [LABEL_SETS["dual"]], venue_of(), through=sessions[19])
    first, second = rows.to_pylist()
    np.testing.assert_allclose([first[name] for name in RETURNS], np.diff(closes[:6]) / closes[:5])
    assert first["value"] == pytest.approx(np.prod([1 + first[name] for name in RETURNS]) - 1)
    assert (first["value"], second["value"]) == pytest.approx((10.1 / 10 - 1, 9.8 / 10.2 - 1))
    assert (first["direction"], second["direction"]) == (1, 0)
