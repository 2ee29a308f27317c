"""The folds of a search: nothing that is learned from knows of what is tested, or of what says when to stop."""

from math import comb
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.models import NotLearnable
from quant_pipelines.training import Search
from quant_pipelines.training.search_folds import fold_rows, paths_of
from quant_pipelines.training.search_settings import Scheme
from quant_pipelines.validation import CombinatorialPurged, LabelSpans, overlapping


@st.composite
def many_spans(draw) -> LabelSpans:
    """Rows of some names over some sessions, with holes, and labels of different lengths."""
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sessions = np.repeat(np.arange(draw(st.integers(60, 120))), draw(st.integers(1, 4)))
    sessions = sessions[chance.random(sessions.size) > 0.1]
    opens = sessions + chance.integers(0, 2, sessions.size)
    return LabelSpans(sessions, opens, opens + chance.integers(1, draw(st.integers(2, 7)), sessions.size))


@given(many_spans(), st.sampled_from(get_args(Scheme)), st.integers(3, 4), st.integers(0, 3))
def test_no_inner_training_span_touches_its_tail_or_its_test(spans, scheme, folds, embargo):
    search = Search(trials=1, folds=folds, scheme=scheme, embargo_sessions=embargo)
    found = fold_rows(spans, search, tail_share=0.2)
    assert len(found) == (comb(folds, 2) if scheme == "combinatorial" else folds)
    for fold in found:
        assert overlapping(fold.train, fold.test, spans).size == 0
        assert overlapping(fold.tail, fold.test, spans).size == 0
        assert overlapping(fold.train, fold.tail, spans).size == 0
        assert len({*fold.train, *fold.tail, *fold.test}) == fold.train.size + fold.tail.size + fold.test.size
        assert spans.session[fold.train].max() < spans.session[fold.tail].min()


@given(many_spans(), st.integers(3, 6), st.data())
def test_each_path_tests_every_session_once_and_each_test_is_on_one_path(spans, folds, data):
    """PBO over the paths of CPCV: the very ones that validation assembles from scores of rows."""
    together = data.draw(st.integers(1, folds - 1))
    search = Search(trials=1, folds=folds, scheme="combinatorial", tested_together=together)
    try:
        found = fold_rows(spans, search, tail_share=0.2)
    except NotLearnable:
        return
    tested = [np.unique(spans.session[each.test]) for each in found]
    everything = np.concatenate([np.stack([each, np.full(each.size, split)]) for split, each in enumerate(tested)], 1)
    paths = paths_of(spans, search, found)
    assert len(paths) == comb(folds - 1, together - 1)
    assert np.array_equal(np.sort(np.concatenate(paths)), np.arange(everything.shape[1]))
    scheme = CombinatorialPurged(groups=folds, test_groups=together, embargo_sessions=0)
    split_of_row = scheme.assemble([np.full(each.test.size, float(split)) for split, each in enumerate(found)], spans)
    first_row = np.unique(spans.session, return_index=True)[1]
    for path, rows in zip(paths, split_of_row, strict=True):
        sessions, splits = everything[:, path]
        assert np.array_equal(sessions, spans.sessions)
        assert np.array_equal(splits, rows[first_row])


@given(many_spans(), st.integers(2, 4))
def test_walking_forward_learns_from_the_past_alone(spans, folds):
    found = fold_rows(spans, Search(trials=1, folds=folds), tail_share=0.2)
    for fold in found:
        assert spans.resolves[fold.tail].max() < spans.session[fold.test].min()
    tested = np.concatenate([fold.test for fold in found])
    assert np.unique(tested).size == tested.size
    assert spans.session[tested].max() == spans.session.max()


def test_too_few_sessions_are_refused():
    sessions = np.arange(6)
    with pytest.raises(NotLearnable, match="too few for 3 folds"):
        fold_rows(LabelSpans(sessions, sessions, sessions + 5), Search(trials=1), tail_share=0.2)
