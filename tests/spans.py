"""Panels of label spans: uniform ones as label sets make them, and irregular ones."""

import numpy as np
from hypothesis import strategies as st

from quant_pipelines.validation import LabelSpans


@st.composite
def panels(draw, most_sessions=60):
    """Rows of up to three symbols in any order, with sessions missing here and there."""
    uniform = draw(st.booleans())
    after, length = draw(st.integers(0, 2)), draw(st.integers(1, 6))
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, most_sessions), st.integers(0, 2), st.integers(0, 2), st.integers(1, 6)),
            unique_by=lambda row: row[:2],
            max_size=90,
        )
    )
    session = np.array([row[0] for row in rows], np.int64)
    opens = session + np.array([after if uniform else row[2] for row in rows], np.int64)
    return LabelSpans(session, opens, opens + np.array([length if uniform else row[3] for row in rows], np.int64))
