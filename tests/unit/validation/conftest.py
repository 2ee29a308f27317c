"""Full panels of spans, and the slow definition of overlap."""

import numpy as np
import pytest

from quant_pipelines.validation import LabelSpans


@pytest.fixture(scope="session")
def daily():
    """daily(sessions, symbols, opens_after, resolves_after): a full panel."""

    def make(sessions, *, symbols=1, opens_after=0, resolves_after=1):
        session = np.repeat(np.arange(sessions), symbols)
        return LabelSpans(session, session + opens_after, session + resolves_after)

    return make


@pytest.fixture(scope="session")
def overlap():
    """overlap(spans, one, other): row pairs whose closed spans share a session, one pair at a time."""

    def pairs(spans, one, other):
        return [
            (int(a), int(b))
            for a in one
            for b in other
            if max(spans.opens[a], spans.opens[b]) <= min(spans.resolves[a], spans.resolves[b])
        ]

    return pairs
