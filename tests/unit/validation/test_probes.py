"""Each probe fires on a planted leak and stays silent on the same pipeline without it, seed after seed.

The market: 60 training and 40 test sessions of 40 names, eight features, the first of which carries an IC of about
0.05. The pipeline: a ridge regression on features that it scales by what it saw in training.
"""

import numpy as np
import pytest

from quant_pipelines.validation import (
    BadSplitSettings,
    BadTrial,
    LabelSpans,
    ProbeSettings,
    Split,
    Trial,
    Verdict,
    future_column_probe,
    mean_ic,
    noise_columns_probe,
    overlap_probe,
    purged_k_fold,
    shuffled_labels_probe,
    truncation_probe,
)

TRAIN, TEST, NAMES, FEATURES, IC = 60, 40, 40, 8, 0.05
SEEDS = range(10)


def trial(seed, *, ic=IC):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(((TRAIN + TEST) * NAMES, FEATURES))
    y = 0.02 * (ic * x[:, 0] + np.sqrt(1 - ic**2) * rng.standard_normal(len(x)))
    cut = TRAIN * NAMES
    return Trial(
        train_x=x[:cut],
        train_y=y[:cut],
        test_x=x[cut:],
        test_y=y[cut:],
        test_blocks=np.repeat(np.arange(TEST), NAMES),
    )


def ridge(x, y, x_test, seen=None):
    """Scaled by what it has seen: the training rows, unless told otherwise."""
    seen = x if seen is None else seen
    x, x_test = ((each - seen.mean(axis=0)) / seen.std(axis=0) for each in (x, x_test))
    return x_test @ np.linalg.solve(x.T @ x + 10 * np.eye(x.shape[1]), x.T @ (y - y.mean()))


def scaled_by_the_test(x, y, x_test):
    """Scales by what it has to predict: rows to come change those before them."""
    return ridge(x, y, x_test, seen=x_test)


def with_the_answers(given):
    """Adds a little of the test labels, as a join on a table of outcomes does."""

    def fit_score(x, y, x_test):
        scores = ridge(x, y, x_test)
        return scores + 0.3 * scores.std() * given.test_y[: len(x_test)] / given.test_y.std()

    return fit_score


def choosing_by_the_test(given):
    """Keeps the five columns that say most of the test labels, as tuning on the test set does."""

    def fit_score(x, y, x_test):
        told = np.abs([np.corrcoef(column, given.test_y[: len(x_test)])[0, 1] for column in x_test.T])
        best = np.argsort(-told)[:5]
        signs = np.sign([np.corrcoef(x_test[:, each], given.test_y[: len(x_test)])[0, 1] for each in best])
        return x_test[:, best] @ signs

    return fit_score


def verdicts(probe, pipeline_of, **market):
    return [
        probe(pipeline_of(each), each, ProbeSettings(seed=1)).verdict for each in (trial(s, **market) for s in SEEDS)
    ]


CLEAN = {
    "truncation": truncation_probe,
    "shuffled labels": shuffled_labels_probe,
    "future column": future_column_probe,
    "noise columns": noise_columns_probe,
}


@pytest.mark.parametrize("probe", CLEAN)
@pytest.mark.parametrize("ic", [0.0, IC, 0.1])
def test_a_clean_pipeline_passes_every_probe(probe, ic):
    """Whatever the signal: no probe confuses skill with a leak."""
    assert set(verdicts(CLEAN[probe], lambda _: ridge, ic=ic)) == {Verdict.CLEAN}


@pytest.mark.parametrize(
    ("probe", "leak"),
    [
        (truncation_probe, lambda _: scaled_by_the_test),
        (shuffled_labels_probe, with_the_answers),
        (future_column_probe, with_the_answers),
        (noise_columns_probe, choosing_by_the_test),
    ],
)
def test_a_planted_leak_is_found_every_time(probe, leak):
    assert set(verdicts(probe, leak)) == {Verdict.LEAK}


def test_a_future_column_among_the_features_rings_the_alarm():
    """A tenth of the answer is enough, and the other eight features are as they were."""
    given = trial(3)
    rng = np.random.default_rng(0)
    leaks = [y[:, None] / 0.02 + 3 * rng.standard_normal((len(y), 1)) for y in (given.train_y, given.test_y)]
    result = future_column_probe(ridge, given.with_columns(*leaks), ProbeSettings(seed=1))
    assert result.verdict is Verdict.LEAK
    assert "too good to be true" in result.sentence
    assert future_column_probe(ridge, given, ProbeSettings(seed=1)).verdict is Verdict.CLEAN  # control


def test_scores_of_other_rows_are_broken_and_not_clean():
    """Scores one row off have no skill at all, and an alarm for skill would never ring."""
    result = future_column_probe(lambda x, y, z: np.roll(ridge(x, y, z), 1), trial(4), ProbeSettings(seed=1))
    assert (result.verdict, np.isnan(result.statistic)) == (Verdict.BROKEN, True)
    assert "misaligned" in result.sentence


def test_a_pipeline_without_a_seed_is_broken_and_no_leak():
    chance = np.random.default_rng()
    result = truncation_probe(lambda _x, _y, z: chance.standard_normal(len(z)), trial(5), ProbeSettings(seed=1))
    assert result.verdict is Verdict.BROKEN
    assert "seed the pipeline" in result.sentence


def test_the_same_seed_gives_the_same_number():
    given = trial(6)
    for probe in CLEAN.values():
        first, second = (probe(ridge, given, ProbeSettings(seed=8)) for _ in range(2))
        assert first == second


def test_a_missing_purge_is_found_row_by_row():
    session = np.arange(60)
    spans = LabelSpans(session, session, session + 5)
    (clean, *_) = purged_k_fold(folds=5, embargo_sessions=0).split(spans).splits
    assert overlap_probe(clean, spans).verdict is Verdict.CLEAN
    everything = Split(train=np.union1d(clean.train, clean.purged), test=clean.test, purged=np.empty(0, np.int64))
    result = overlap_probe(everything, spans)
    assert (result.verdict, result.statistic) == (Verdict.LEAK, 5.0)


def test_what_cannot_be_ranked_is_insufficient_and_not_clean():
    given = trial(7)
    flat = Trial(
        train_x=given.train_x,
        train_y=given.train_y,
        test_x=given.test_x,
        test_y=np.zeros_like(given.test_y),
        test_blocks=np.zeros_like(given.test_blocks),
    )
    for probe in CLEAN.values():
        assert probe(ridge, flat, ProbeSettings(seed=1)).verdict is Verdict.INSUFFICIENT_OBSERVATION


def test_mean_ic_is_the_mean_of_the_correlations_of_the_blocks():
    rng = np.random.default_rng(9)
    scores, labels, blocks = rng.standard_normal(200), rng.standard_normal(200), rng.integers(0, 7, 200)
    expected = np.mean([np.corrcoef(scores[blocks == each], labels[blocks == each])[0, 1] for each in range(7)])
    assert mean_ic(scores, labels, blocks) == pytest.approx(expected)
    order = rng.permutation(200)
    assert mean_ic(scores[order], labels[order], blocks[order]) == pytest.approx(expected)


def test_constant_scores_know_nothing_and_constant_labels_do_not_count():
    blocks = np.repeat([0, 1], 3)
    assert mean_ic(np.full(6, 0.1), np.arange(6.0), blocks) == 0
    assert mean_ic(np.arange(6.0), np.array([1, 2, 3, 0.1, 0.1, 0.1]), blocks) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "scores",
    [
        lambda _x, _y, _z: np.zeros(3),
        lambda _x, _y, z: np.full(len(z), np.nan),
        lambda _x, _y, z: np.zeros((len(z), 1)),
    ],
)
def test_scores_that_do_not_fit_the_rows_are_refused(scores):
    with pytest.raises(BadTrial, match="one finite score"):
        trial(1).skill(scores)


@pytest.mark.parametrize("name", ["train_y", "test_x", "test_blocks"])
def test_a_trial_that_does_not_fit_together_is_refused(name):
    parts = {each: getattr(trial(1), each) for each in ("train_x", "train_y", "test_x", "test_y", "test_blocks")}
    with pytest.raises(BadTrial, match="does not fit together"):
        Trial(**parts | {name: parts[name][:-1]})
    with pytest.raises(BadTrial, match="missing or infinite"):
        Trial(**parts | {"train_y": np.full(len(parts["train_y"]), np.nan)})


@pytest.mark.parametrize("wrong", [{"rounds": 1}, {"noise_columns": 0}, {"cuts": 0}])
def test_probes_without_a_meaning_are_refused(wrong):
    with pytest.raises(BadSplitSettings):
        ProbeSettings(seed=1, **wrong)
