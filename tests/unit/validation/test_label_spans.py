"""Spans from label rows, and what they refuse."""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest

from quant_pipelines.calendars import calendar_named
from quant_pipelines.validation import BadSpans, LabelSpans

XSHG = calendar_named("XSHG")
DAYS = XSHG.sessions(datetime(2024, 2, 1), datetime(2024, 3, 1))


def labels(places, symbols="A", reach=2):
    rows = {"session": [DAYS[p] for p in places], "symbol": list(symbols * len(places))[: len(places)]}
    return pa.table(rows | {"opens": [DAYS[p + 1] for p in places], "resolves": [DAYS[p + reach] for p in places]})


def test_spans_count_the_market_s_sessions():
    """The spring festival lies between the sixth and the seventh session."""
    spans = LabelSpans.from_labels(labels([5, 3, 4]), XSHG)
    assert (spans.session - spans.session.min()).tolist() == [2, 0, 1]
    assert (spans.resolves - spans.session).tolist() == [2, 2, 2]
    assert spans.gap_sessions == 2


def test_a_repeated_key_is_refused_and_two_symbols_of_a_session_are_not():
    with pytest.raises(BadSpans, match="1 rows repeat"):
        LabelSpans.from_labels(labels([3, 3]), XSHG)
    assert LabelSpans.from_labels(labels([3, 3], "AB"), XSHG).rows == 2


def test_a_label_that_is_no_session_is_refused():
    table = labels([1, 2, 3]).set_column(0, "session", pa.array([DAYS[1], datetime(2024, 2, 4), DAYS[3]]))
    with pytest.raises(BadSpans, match="2024-02-04"):
        LabelSpans.from_labels(table, XSHG)


def test_missing_columns_are_refused_and_no_rows_are_not():
    with pytest.raises(BadSpans, match="opens, resolves"):
        LabelSpans.from_labels(labels([1]).select(["session", "symbol"]), XSHG)
    empty = LabelSpans.from_labels(labels([1]).slice(0, 0), XSHG)
    assert (empty.rows, empty.gap_sessions) == (0, 0)


@pytest.mark.parametrize(("opens", "resolves"), [(3, 5), (4, 4), (5, 4)])
def test_a_span_that_runs_backwards_is_refused(opens, resolves):
    with pytest.raises(BadSpans, match="Row 1"):
        LabelSpans(np.array([0, 4]), np.array([0, opens]), np.array([1, resolves]))


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(BadSpans, match="one of each"):
        LabelSpans(np.array([0, 4]), np.array([0, 4]), np.array([1]))
