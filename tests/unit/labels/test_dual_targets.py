"""Targets of the two-headed network (S3-20..23), by hand and against the label rows."""

import numpy as np
import pytest

from quant_pipelines.labels import LABEL_SETS, RETURNS, BadLabelInput, dual_targets, label_rows


def walk(length):
    return np.round(20 * np.exp(np.cumsum(np.random.default_rng(6).normal(0, 0.02, length))), 2)


@pytest.mark.parametrize(("length", "samples"), [(0, 0), (5, 0), (64, 0), (65, 1), (70, 6)])
def test_65_sessions_make_the_first_sample(length, samples):
    targets = dual_targets(walk(length))
    assert targets.direction.shape == targets.ends.shape == (samples,)
    assert targets.magnitude.shape == (samples, 5)
    assert targets.left_out == 0


def test_a_sample_by_hand():
    close = np.append(np.full(60, 10.0), [10.5, 10.5, 10.08, 10.08, 9.9])
    targets = dual_targets(close)
    assert targets.ends.tolist() == [59]
    assert targets.direction.tolist() == [0]
    np.testing.assert_allclose(targets.magnitude, [[0.05, 0.0, -0.04, 0.0, 9.9 / 10.08 - 1]], atol=1e-7)


def test_an_unchanged_price_is_not_up():
    assert dual_targets(np.full(65, 10.0)).direction.tolist() == [0]
    assert dual_targets(np.append(np.full(64, 10.0), 10.01)).direction.tolist() == [1]  # control


def test_a_missing_close_leaves_out_the_samples_whose_span_holds_it_and_counts_them():
    close = walk(80)
    close[70] = np.nan
    targets = dual_targets(close)
    assert targets.left_out == 6
    assert set(targets.ends) == set(range(59, 75)) - set(range(65, 71))


def test_nothing_of_the_future_beyond_the_span_is_looked_at():
    close = walk(90)
    short, whole = dual_targets(close[:75]), dual_targets(close)
    np.testing.assert_array_equal(short.magnitude, whole.magnitude[: short.ends.size])


def test_targets_are_the_label_rows_of_the_window_ends(prices_of, venue_of):
    close = walk(90)
    calendar = venue_of().calendar
    sessions = calendar.sessions(*(np.datetime64(day, "us").item() for day in ("2024-01-15", "2024-06-30")))[:90]
    some = prices_of({"600001.SH": [10.0]})
    rows = {name: [some[name][0].as_py()] * 90 for name in some.column_names}
    rows |= {"session": sessions, "close": close.tolist(), "open": close.tolist()}
    table = some.from_pydict(rows, schema=some.schema)
    labels = label_rows(table, [LABEL_SETS["dual"]], venue_of(), through=sessions[-1])
    targets = dual_targets(close)
    assert targets.direction.tolist() == [labels["direction"][end].as_py() for end in targets.ends.tolist()]
    stored = np.stack([labels[name].to_numpy() for name in RETURNS], axis=1)[targets.ends]
    np.testing.assert_array_equal(targets.magnitude, stored.astype(np.float32))


def test_a_matrix_is_refused():
    with pytest.raises(BadLabelInput, match="vector"):
        dual_targets(np.ones((70, 2)))
