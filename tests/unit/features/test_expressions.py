"""The language of features: what it reads, what it refuses, and what it computes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipelines.features.expressions.evaluate import evaluate
from quant_pipelines.features.expressions.language import (
    Call,
    ExpressionRefused,
    Field,
    LooksAhead,
    Number,
    fields,
    look_back,
    parse,
    parse_feature,
)
from quant_pipelines.features.expressions.operators import OPERATORS, Kind
from quant_pipelines.features.expressions.slowly import by_definitions


@pytest.fixture(scope="module")
def panel(market):
    return market(77, [150, 40, 1, 90], suspended=0.1)


def by_symbol(panel, field, compute):
    series = pd.Series(panel.field(field).astype(np.float64))
    symbols = np.repeat(panel.symbols, np.diff(panel.offsets))
    return series.groupby(symbols, sort=False).transform(compute).to_numpy()


def test_text_becomes_a_tree():
    assert parse("Mean($close, 5) / $close") == Call("Div", (Call("Mean", (Field("close"),), 5), Field("close")))
    assert parse("-$low ** 2") == Call("Mul", (Number(-1), Call("Power", (Field("low"), Number(2)))))
    assert parse("2*3*$close") == Call("Mul", (Number(6), Field("close")))


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("$close", 0),
        ("Mean($close, 5)", 4),
        ("Ref($close, 5)", 5),
        ("Std($close / Ref($close, 1), 20)", 20),
        ("Mean(Mean($close, 5), 5) + Ref($open, 2)", 8),
        ("EMA($close, 12)", None),
        ("Mean(EMA($close, 12), 3) - $open", None),
    ],
)
def test_the_look_back_follows_from_the_tree(text, back):
    assert look_back(parse(text)) == back


def test_the_fields_follow_from_the_tree():
    assert fields(parse("Corr($volume, Log($close), 5) + $close")) == ("close", "volume")
    assert fields(parse("$vwap")) == ("vwap",)


@pytest.mark.parametrize("text", ["Ref($close, -1)", "Mean(Ref($close, -2) / $close, 5)", "Delta($close, -3)"])
def test_a_feature_may_not_read_later_sessions_and_a_label_may(text):
    """S2-32: a user's feature cannot look ahead."""
    with pytest.raises(LooksAhead, match="sessions ahead"):
        parse_feature(text)
    assert parse(text)
    assert parse_feature(text.replace("-", ""))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot be read"),
        ("Mean($close, 5", "cannot be read"),
        ("Mean($close)", "takes 2 arguments, found 1"),
        ("Mean($close, 0)", "whole number of sessions"),
        ("Mean($close, -5)", "whole number of sessions"),
        ("Mean($close, 2.5)", "whole number of sessions"),
        ("Mean($close, 100000)", "whole number of sessions"),
        ("Mean($close, $open)", "takes a plain number"),
        ("Mean(3, 5) + $close", "needs a series"),
        ("Quantile($close, 5, 1.5)", "between 0 and 1"),
        ("Maen($close, 5)", "did you mean Mean"),
        ("$price", "there are \\$open"),
        ("1 + 2", "is a constant"),
        ("1 / 0 * $close", "constants has no meaning"),
        ("Abs(3) + $close", "constants has no meaning"),
        ("FIELD_close", "Write fields as"),
        ("close", "not part of the language"),
        ("$close if $open else $low", "not part of the language"),
        ("$close < $open < $low", "not part of the language"),
        ("__import__('os').system('true')", "not part of the language"),
        ("(lambda: $close)()", "not part of the language"),
        ("$close.__class__", "not part of the language"),
        ("Mean($close, N=5)", "not part of the language"),
        ("$close @ $open", "not part of the language"),
        ("True * $close", "not part of the language"),
    ],
)
def test_what_the_language_does_not_have_is_refused_with_the_reason(text, reason):
    with pytest.raises(ExpressionRefused, match=reason):
        parse(text)


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet="$closeMan(),5 +-*/.<>=Ref'[]0\n", max_size=40))
def test_any_text_is_read_or_refused_and_nothing_else(text):
    try:
        assert parse(text)
    except ExpressionRefused:
        return


ROLLING = sorted(name for name, each in OPERATORS.items() if each.kind is Kind.ROLLING and name not in ("Skew", "Kurt"))


@pytest.mark.parametrize("name", ROLLING)
@pytest.mark.parametrize("window", [1, 7])
def test_a_rolling_operator_agrees_with_its_definition(name, window, panel):
    more = ", 0.3" if name == "Quantile" else ""
    node = parse(f"{name}($close / $open, {window}{more})")
    np.testing.assert_allclose(
        evaluate(node, panel), evaluate(node, panel, roll=by_definitions), rtol=1e-5, atol=1e-6, equal_nan=True
    )


@pytest.mark.parametrize("name", ["Corr", "Cov"])
def test_a_pair_operator_agrees_with_its_definition(name, panel):
    node = parse(f"{name}($close, $vwap - $open, 9)")
    np.testing.assert_allclose(evaluate(node, panel), evaluate(node, panel, roll=by_definitions), rtol=1e-5, atol=1e-6)


def test_shifts_stay_within_a_symbol(panel):
    expected = by_symbol(panel, "close", lambda close: close.shift(3))
    np.testing.assert_array_equal(evaluate(parse("Ref($close, 3)"), panel), expected.astype(np.float32))
    ahead = by_symbol(panel, "close", lambda close: close.shift(-2))
    np.testing.assert_array_equal(evaluate(parse("Ref($close, -2)"), panel), ahead.astype(np.float32))


def test_skewness_kurtosis_and_the_exponential_mean_are_those_of_pandas(panel):
    for text, compute in {
        "Skew($close, 20)": lambda close: close.rolling(20, min_periods=1).skew(),
        "Kurt($close, 20)": lambda close: close.rolling(20, min_periods=1).kurt(),
        "EMA($close, 20)": lambda close: close.ewm(span=20, min_periods=1).mean(),
    }.items():
        expected = by_symbol(panel, "close", compute)
        ours = evaluate(parse(text), panel)
        # pandas drifts after a flat run; where it does not, the numbers are the same.
        close = np.isclose(ours, expected, rtol=1e-4, atol=1e-4, equal_nan=True)
        assert close.mean() > 0.95, text


def test_conditions_choose(panel):
    up = evaluate(parse("If($close > $open, $close, $open)"), panel)
    np.testing.assert_array_equal(up, evaluate(parse("Greater($close, $open)"), panel))
    both = evaluate(parse("Sum(($close > $open) & Not($close > $high), 1)"), panel)
    np.testing.assert_array_equal(both, panel.field("close") > panel.field("open"))


def test_no_expression_yields_an_infinity_or_a_negative_zero(panel):
    for text in ("$close / ($close - $close)", "Log($volume - $volume)", "-($close - $close)", "1e30 * 1e30 * $close"):
        out = evaluate(parse(text), panel)
        assert not np.isinf(out).any()
        assert not np.signbit(out[out == 0]).any()
