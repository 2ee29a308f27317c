"""Our Alpha158 is pyqlib's."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quant_pipelines.features.alpha158.catalogue import FACTORS, NAMES
from quant_pipelines.features.alpha158.engine import compute
from quant_pipelines.features.expressions.evaluate import evaluate
from quant_pipelines.features.expressions.language import parse_feature
from quant_pipelines.features.expressions.slowly import by_definitions
from quant_pipelines.features.panel import FIELDS, BarPanel
from quant_pipelines.qlib_bridge.provider import write_provider

# pyqlib takes a missing value for the extreme of its window.
POSITIONS = ("IMAX", "IMIN", "IMXD")


@pytest.fixture(scope="module")
def panel(market):
    return market(2024, [320, 320, 320, 200, 150, 61, 20, 1], suspended=0.04)


@pytest.fixture(scope="module")
def ours(panel):
    return compute(panel)


@pytest.fixture(scope="module")
def pyqlib(panel, tmp_path_factory):
    return by_pyqlib(panel, tmp_path_factory.mktemp("provider"))


def by_pyqlib(panel, folder):
    """Expressions, names, and values with NaN for infinities."""
    write_provider(folder, panel)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import qlib
        from qlib.contrib.data.loader import Alpha158DL
        from qlib.data import D

        qlib.init(provider_uri=str(folder), kernels=1, joblib_backend="threading", logging_level=40)
        fields, names = Alpha158DL.get_feature_config()
        frame = D.features(list(panel.symbols), fields, freq="day")
    blocks = [
        frame.loc[symbol].reindex(panel.sessions[begin:end]).to_numpy()
        for symbol, begin, end in zip(panel.symbols, panel.offsets[:-1], panel.offsets[1:], strict=True)
    ]
    values = np.concatenate(blocks).T.astype(np.float32)
    return fields, tuple(names), np.where(np.isfinite(values), values, np.float32(np.nan))


def test_the_catalogue_is_pyqlibs(pyqlib):
    """S2-72: the same 158 names and expressions in the same order."""
    fields, names, _values = pyqlib
    assert names == NAMES
    assert [field.replace(" ", "") for field in fields] == [factor.expression.replace(" ", "") for factor in FACTORS]


def differing(ours, theirs):
    with np.errstate(invalid="ignore"):
        return np.abs(ours - theirs) > 1e-5 * np.maximum(np.abs(theirs), 1e-6)


@pytest.mark.parametrize(
    "factor", [each for each in FACTORS if not each.name.startswith(POSITIONS)], ids=lambda each: each.name
)
def test_every_factor_has_pyqlibs_values_and_gaps(factor, panel, ours, pyqlib):
    """Where they differ by more than 1e-5, the definition in long double must side with us, every time."""
    agree(factor, panel, ours[NAMES.index(factor.name)], pyqlib[2][NAMES.index(factor.name)])


def agree(factor, panel, row, theirs):
    np.testing.assert_array_equal(np.isnan(row), np.isnan(theirs), err_msg=factor.name)
    apart = differing(row, theirs)
    if apart.any():
        exact = evaluate(parse_feature(factor.expression), panel, roll=by_definitions)
        np.testing.assert_allclose(row[apart], exact[apart], rtol=1e-6, atol=1e-9, err_msg=factor.name)
        assert apart.mean() < 0.05


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [5, 6])
def test_a_larger_market_agrees_too(seed, market, tmp_path):
    panel = market(seed, [1200] * 15 + [400] * 10 + [90] * 10, suspended=0.03)
    factors, theirs = compute(panel), by_pyqlib(panel, tmp_path)[2]
    for factor, row, other in zip(FACTORS, factors, theirs, strict=True):
        if not factor.name.startswith(POSITIONS):
            agree(factor, panel, row, other)


@pytest.mark.parametrize(
    "factor", [each for each in FACTORS if each.name.startswith(POSITIONS)], ids=lambda each: each.name
)
def test_positions_are_pyqlibs_where_no_value_is_missing_and_the_definition_elsewhere(factor, panel, ours, pyqlib):
    row, theirs = ours[NAMES.index(factor.name)], pyqlib[2][NAMES.index(factor.name)]
    whole = evaluate(parse_feature(f"Count($high, {factor.window})"), panel)
    sessions = evaluate(parse_feature(f"Sum(Eq($high, $high) >= 0, {factor.window})"), panel)
    complete = whole == sessions
    assert 0.05 < complete.mean() < 1
    np.testing.assert_array_equal(np.isnan(row), np.isnan(theirs))
    np.testing.assert_array_equal(row[complete], theirs[complete])
    exact = evaluate(parse_feature(factor.expression), panel, roll=by_definitions)
    np.testing.assert_array_equal(row, exact)


def test_every_factor_has_the_values_and_gaps_of_pyqlib_on_the_pandas_it_was_written_for():
    """pandas 3 sums rolling windows otherwise; see oracles/make_alpha158.py for how the file came about."""
    told = pd.read_parquet(Path(__file__).parent / "oracles" / "alpha158_pandas_2_2_3.parquet")
    starts = np.flatnonzero(told["instrument"].ne(told["instrument"].shift()))
    old = BarPanel(
        # A copy: kernels would be compiled once more for what pandas marks as read-only.
        np.array(told[list(FIELDS)].to_numpy().T, order="C"),
        np.append(starts, len(told)).astype(np.int64),
        tuple(told["instrument"].iloc[starts]),
        told["datetime"].to_numpy().astype("datetime64[us]"),
    )
    rows = compute(old)
    for factor in FACTORS:
        if not factor.name.startswith(POSITIONS):
            agree(factor, old, rows[NAMES.index(factor.name)], told[factor.name].to_numpy())
