"""Panels: what they refuse, and that cutting them loses nothing."""

import numpy as np
import pyarrow as pa
import pytest

from quant_pipelines.features.panel import FIELDS, BarPanel, PanelRejected, drop_impossible


def table_of(panel):
    symbols = np.repeat(panel.symbols, np.diff(panel.offsets))
    columns = {name: panel.field(name).astype(np.float64) for name in FIELDS}
    return pa.table({"session": panel.sessions, "symbol": symbols, **columns})


def test_a_table_becomes_the_panel_it_was_made_of(market):
    panel = market(1, [40, 3, 90], flat=False)
    again = BarPanel.from_table(table_of(panel))
    np.testing.assert_array_equal(again.values, panel.values)
    np.testing.assert_array_equal(again.offsets, panel.offsets)
    assert again.symbols == panel.symbols


def test_impossible_prices_and_volumes_are_missing(market):
    panel = market(2, [10], suspended=0, flat=False)
    values = panel.values.copy()
    values[3, :4] = 0, -1, np.inf, 5
    values[4, :4] = 0, -1, np.inf, 5
    drop_impossible(values)
    np.testing.assert_array_equal(np.isnan(values[3, :4]), [True, True, True, False])
    np.testing.assert_array_equal(np.isnan(values[4, :4]), [False, True, True, False])


def test_a_price_too_large_for_float32_is_missing(market):
    table = table_of(market(3, [5], suspended=0, flat=False))
    column = table.schema.get_field_index("close")
    table = table.set_column(column, "close", pa.array([1e300, 2.0, 3.0, 4.0, 5.0]))
    np.testing.assert_array_equal(np.isnan(BarPanel.from_table(table).field("close")), [True] + [False] * 4)


def test_an_empty_table_is_an_empty_panel(market):
    panel = BarPanel.from_table(table_of(market(4, [5], flat=False)).slice(0, 0))
    assert panel.rows == 0
    assert panel.symbols == ()


def broken(panel, **changes):
    parts = {name: getattr(panel, name) for name in ("values", "offsets", "symbols", "sessions")} | changes
    return BarPanel(**parts)


def test_a_panel_refuses_what_does_not_fit_together(market):
    panel = market(5, [10, 20])
    infinite = panel.values.astype(np.float64)
    with pytest.raises(PanelRejected, match="float32"):
        broken(panel, values=np.nan_to_num(panel.values).astype(np.int64))
    with pytest.raises(PanelRejected, match="Offsets"):
        broken(panel, offsets=panel.offsets[:-1])
    for too_much in (np.inf, -np.inf, 1e300):
        infinite[3, 5] = too_much
        with pytest.raises(PanelRejected, match="float32 cannot hold"):
            broken(panel, values=infinite)
    with pytest.raises(PanelRejected, match="does not come after"):
        broken(panel, sessions=panel.sessions[::-1].copy())
    assert broken(panel).rows == panel.rows


def test_a_symbol_whose_rows_are_apart_is_refused(market):
    table = table_of(market(6, [4, 4], flat=False))
    with pytest.raises(PanelRejected, match="stand together"):
        BarPanel.from_table(table.take([0, 4, 1]))


def test_cuts_by_time_by_length_and_by_symbol_keep_the_rows(market):
    panel = market(7, [30, 5, 60], flat=False)
    cut = panel.until(panel.sessions[20])
    assert (cut.sessions <= panel.sessions[20]).all()
    assert panel.latest(10).rows == 10 + 5 + 10
    two = panel.only({"S0000", "S0002"})
    assert two.symbols == ("S0000", "S0002")
    np.testing.assert_array_equal(two.values[:, 30:], panel.values[:, 35:])
    np.testing.assert_array_equal(panel.latest(10).values[:, -10:], panel.values[:, -10:])
