"""Which training rows know of a test: purge and embargo as algebra on spans."""

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.validation.spans import LabelSpans, Rows


def purge(train: Rows, test: Rows, spans: LabelSpans, *, embargo_sessions: int) -> Rows:
    """The training rows whose spans touch no test span, nor the embargo of so many market sessions after it.

    Spans are closed: a label that resolves in the session in which a test label opens is purged.
    """
    return train[~_touching(train, test, spans, embargo_sessions)]


def overlapping(train: Rows, test: Rows, spans: LabelSpans) -> Rows:
    """The training rows whose spans share a session with a test span: there are none after a purge."""
    return train[_touching(train, test, spans, 0)]


def _touching(train: Rows, test: Rows, spans: LabelSpans, embargo_sessions: int) -> NDArray[np.bool_]:
    """Whether each training span holds a session that a test span or its embargo covers.

    Sessions are few and rows are many, so covered sessions are counted once and every row looks up two counts.
    """
    if train.size == 0 or test.size == 0:
        return np.zeros(train.size, bool)
    origin, end = int(spans.opens.min()), int(spans.resolves.max()) + embargo_sessions
    length = end - origin + 2
    begins = np.bincount(spans.opens[test] - origin, minlength=length)
    stops = np.bincount(spans.resolves[test] + embargo_sessions + 1 - origin, minlength=length)
    covered_before = np.append(0, np.cumsum(np.cumsum(begins - stops) > 0))
    return covered_before[spans.resolves[train] - origin + 1] > covered_before[spans.opens[train] - origin]
