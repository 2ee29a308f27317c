"""Property 4: what goes to pyqlib and comes back is what went."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipelines.features.panel import FIELDS, BarPanel
from quant_pipelines.qlib_bridge.frames import FrameRefused, bars_frame, dataset, features_frame, panel_of
from quant_pipelines.qlib_bridge.provider import ProviderRefused, read_provider, read_provider_fields, write_provider


def a_panel(seed, lengths, kind=np.float32):
    rng = np.random.default_rng(seed)
    rows = sum(lengths)
    values = rng.lognormal(3, 1, (6, rows)).astype(kind)
    values[:, rng.random(rows) < 0.1] = np.nan
    calendar = np.arange(np.datetime64("2021-03-01"), np.datetime64("2021-03-01") + max(lengths))
    starts = [int(rng.integers(0, max(lengths) - length + 1)) for length in lengths]
    sessions = [calendar[start : start + length] for start, length in zip(starts, lengths, strict=True)]
    names = tuple(f"SH{600000 + number}" for number in range(len(lengths)))
    offsets = np.append(0, np.cumsum(lengths)).astype(np.int64)
    return BarPanel(values, offsets, names, np.concatenate(sessions).astype("datetime64[us]"))


def same(one, other):
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.offsets, other.offsets)
    np.testing.assert_array_equal(one.sessions, other.sessions)
    assert one.symbols == other.symbols


panels = st.builds(a_panel, st.integers(0, 2**32 - 1), st.lists(st.integers(1, 40), min_size=1, max_size=5))


@settings(max_examples=100, deadline=None)
@given(panel=panels)
def test_a_provider_folder_gives_back_the_panel(tmp_path_factory, panel):
    """S2-99. Feature: mlops-optimization, Property 4: to the Qlib format and back keeps the data."""
    folder = tmp_path_factory.mktemp("provider")
    write_provider(folder, panel)
    same(read_provider(folder), panel)


@settings(max_examples=100, deadline=None)
@given(panel=panels, seed=st.integers(0, 2**32 - 1))
def test_a_provider_folder_gives_back_the_features(tmp_path_factory, panel, seed):
    """S2-99."""
    folder = tmp_path_factory.mktemp("provider")
    rows = np.random.default_rng(seed).normal(size=(2, panel.rows)).astype(np.float32)
    features = {"KMID": rows[0], "rsi_14": rows[1]}
    write_provider(folder, panel, features)
    same(read_provider(folder), panel)
    back = read_provider_fields(folder, panel, list(features))
    for name, row in features.items():
        np.testing.assert_array_equal(back[name], row)
    with pytest.raises(ProviderRefused, match="has no fields"):
        read_provider_fields(folder, panel, ["RSI_15"])
    with pytest.raises(ProviderRefused, match="folds case"):
        write_provider(folder, panel, {"KMID": rows[0], "kmid": rows[1]})


@settings(max_examples=100, deadline=None)
@given(panel=panels)
def test_a_frame_gives_back_the_panel(panel):
    """S2-74, S2-99: index (instrument, datetime), columns $open, $high ..."""
    frame = bars_frame(panel)
    assert list(frame.index.names) == ["instrument", "datetime"]
    assert list(frame.columns) == [f"${name}" for name in FIELDS]
    same(panel_of(frame), panel)


def test_what_pyqlib_cannot_hold_is_refused(tmp_path):
    panel = a_panel(1, [5, 8])
    gap = BarPanel(panel.values[:, [0, 2, 3]], np.array([0, 3]), ("A",), panel.sessions[[0, 2, 3]])
    other = BarPanel(panel.values[:, 5:9], np.array([0, 4]), ("B",), panel.sessions[[0, 1, 2, 3]])
    both = BarPanel(
        np.concatenate([gap.values, other.values], axis=1),
        np.array([0, 3, 7]),
        ("A", "B"),
        np.concatenate([gap.sessions, other.sessions]),
    )
    with pytest.raises(ProviderRefused, match="Give suspended sessions rows"):
        write_provider(tmp_path / "gap", both)
    twins = BarPanel(panel.values, panel.offsets, ("abc", "ABC"), panel.sessions)
    with pytest.raises(ProviderRefused, match="case only"):
        write_provider(tmp_path / "twins", twins)
    hourly = BarPanel(panel.values, panel.offsets, panel.symbols, panel.sessions + np.timedelta64(1, "h"))
    with pytest.raises(ProviderRefused, match="time of day"):
        write_provider(tmp_path / "hourly", hourly)
    with pytest.raises(ProviderRefused, match="is missing"):
        read_provider(tmp_path / "nothing")
    write_provider(tmp_path / "control", panel)


def test_a_frame_in_another_form_is_refused():
    frame = bars_frame(a_panel(2, [4, 4]))
    with pytest.raises(FrameRefused, match="index"):
        panel_of(frame.swaplevel())
    with pytest.raises(FrameRefused, match="missing"):
        panel_of(frame.rename(columns={"$open": "open"}))
    with pytest.raises(FrameRefused, match="stand together"):
        panel_of(frame.iloc[[0, 4, 1]])
    assert panel_of(frame).rows == 8


def test_a_dataset_holds_the_features_as_they_were_given():
    """S2-73: features and label joined on one index."""
    panel = a_panel(3, [30, 30])
    values = np.random.default_rng(1).normal(size=(3, panel.rows))
    features = features_frame(panel, ["a", "b", "c"], values)
    label = features_frame(panel, ["forward"], values[:1] * 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = dataset(features, label, {"train": ("2021-03-01", "2021-03-10"), "test": ("2021-03-11", "2021-03-30")})
        train = made.prepare("train", col_set="feature")
        test_label = made.prepare("test", col_set="label")
    assert train.shape == (2 * 10, 3)
    expected = features.swaplevel().sort_index().loc["2021-03-01":"2021-03-10"]
    np.testing.assert_array_equal(train.to_numpy(), expected.to_numpy())
    assert list(test_label.columns) == ["forward"]
