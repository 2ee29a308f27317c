"""Experiments that show whether a pipeline knows what it cannot know."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from quant_pipelines.validation.purging import overlapping
from quant_pipelines.validation.spans import LabelSpans
from quant_pipelines.validation.splits import Split, require_at_least
from quant_pipelines.validation.trial import FitScore, Trial, Vector


class Verdict(StrEnum):
    """What a probe concludes. Of a broken pipeline, and of too few rows to rank, nobody knows (X-42)."""

    CLEAN = "clean"
    LEAK = "leak"
    BROKEN = "broken"
    INSUFFICIENT_OBSERVATION = "insufficient_observation"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """The number that decided, what it was held against, and the sentence for a person."""

    probe: str
    verdict: Verdict
    statistic: float
    limit: float
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """`seed` makes every probe repeatable.

    A mean IC over `rounds` is a leak beyond `largest_t` standard errors above `negligible_ic`. Above an IC of
    `suspicious_ic` on daily returns leakage is assumed (X-20). Test rows are cut off after each of `cuts` blocks.
    """

    seed: int
    rounds: int = 20
    largest_t: float = 4.0
    negligible_ic: float = 0.01
    suspicious_ic: float = 0.15
    noise_columns: int = 50
    cuts: int = 3
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        require_at_least(2, rounds=self.rounds)
        require_at_least(1, noise_columns=self.noise_columns, cuts=self.cuts)


def overlap_probe(split: Split, spans: LabelSpans) -> ProbeResult:
    """No training label may share a session with a test label. Exact: one such row is a leak."""
    rows = overlapping(split.train, split.test, spans)
    return _judged(
        "overlap", float(rows.size), 0.0, f"{rows.size} of {split.train.size} training labels overlap a test label"
    )


def truncation_probe(fit_score: FitScore, trial: Trial, settings: ProbeSettings) -> ProbeResult:
    """A test row's score may not change when the test rows after it are not there yet.

    It does where anything is fitted on the test rows, such as a scaler. The statistic is the largest change in
    standard deviations of the scores. Two equal fits must agree, or nothing can be said.
    """
    whole = trial.scores(fit_score)
    blocks = np.unique(trial.test_blocks)
    if blocks.size < 2:  # noqa: PLR2004 - something must be left to cut off
        return _unknown("truncation", f"{blocks.size} test blocks leave nothing to cut off")
    scale = float(whole.std()) or 1.0
    if np.abs(trial.scores(fit_score) - whole).max() > settings.tolerance * scale:
        return _broken("truncation", "two equal fits scored differently; seed the pipeline")
    rng = np.random.default_rng(settings.seed)
    cuts = rng.permutation(blocks[:-1])[: settings.cuts]
    changes = [_change_at(cut, fit_score, trial, whole) for cut in cuts]
    change = max(changes) / scale
    sentence = f"scores change by up to {change:.3g} standard deviations when later test rows are cut off"
    return _judged("truncation", change, settings.tolerance, sentence)


def shuffled_labels_probe(fit_score: FitScore, trial: Trial, settings: ProbeSettings) -> ProbeResult:
    """Who learns from shuffled labels may know nothing of the true ones; who does got them from somewhere else.

    The statistic is the t of the mean IC over the rounds. For pipelines that learn: a fixed rule's skill needs no
    labels at all.
    """
    rng = np.random.default_rng(settings.seed)
    skills = np.array(
        [trial.with_labels(rng.permutation(trial.train_y)).skill(fit_score) for _ in range(settings.rounds)]
    )
    sentence = f"a mean IC of {np.mean(skills):.4f} over {settings.rounds} fits on shuffled labels"
    return _judged_by_t("shuffled_labels", skills, settings, sentence)


def future_column_probe(fit_score: FitScore, trial: Trial, settings: ProbeSettings) -> ProbeResult:
    """The alarm for too much skill must be silent as things are, and ring with the labels planted as a feature.

    Ringing as things are is a leak. Silence with the answer in hand says that scores and labels are not of the same
    rows, so that the alarm could never ring.
    """
    before = trial.skill(fit_score)
    if np.isnan(before):
        return _unknown("future_column", "no test block can be ranked")
    if before > settings.suspicious_ic:
        return _judged("future_column", before, settings.suspicious_ic, f"an IC of {before:.4f} is too good to be true")
    after = _with_labels_planted(trial).skill(fit_score)
    if after > settings.suspicious_ic:
        sentence = f"the IC is {before:.4f}, and {after:.4f} with the labels planted: the alarm works"
        return _judged("future_column", before, settings.suspicious_ic, sentence)
    sentence = f"the IC is {before:.4f}, and with the labels planted only {after:.4f}: scores and rows are misaligned"
    return _broken("future_column", sentence)


def noise_columns_probe(fit_score: FitScore, trial: Trial, settings: ProbeSettings) -> ProbeResult:
    """Noise may not help. It does where columns or parameters are chosen by what they say of the test rows.

    The statistic is the t of the mean gain in IC over the rounds. Noise that dilutes a negative IC has gained nothing.
    """
    rng = np.random.default_rng(settings.seed)
    before = trial.skill(fit_score)
    skills = np.array([_with_noise(trial, settings, rng).skill(fit_score) for _ in range(settings.rounds)])
    gains = skills - max(before, 0.0)
    sentence = f"{settings.noise_columns} columns of noise add {np.mean(gains):.4f} to an IC of {before:.4f}"
    return _judged_by_t("noise_columns", gains, settings, sentence)


def _change_at(cut: np.int64, fit_score: FitScore, trial: Trial, whole: Vector) -> float:
    known = trial.test_blocks <= cut
    short = Trial(
        train_x=trial.train_x,
        train_y=trial.train_y,
        test_x=trial.test_x[known],
        test_y=trial.test_y[known],
        test_blocks=trial.test_blocks[known],
    )
    return float(np.abs(short.scores(fit_score) - whole[known]).max())


def _with_labels_planted(trial: Trial) -> Trial:
    """In units of the training labels' deviation: a penalised model would not touch a column of small numbers."""
    scale = float(trial.train_y.std()) or 1.0
    return trial.with_columns(trial.train_y[:, None] / scale, trial.test_y[:, None] / scale)


def _with_noise(trial: Trial, settings: ProbeSettings, rng: np.random.Generator) -> Trial:
    shapes = ((side.shape[0], settings.noise_columns) for side in (trial.train_x, trial.test_x))
    return trial.with_columns(*(rng.standard_normal(shape) for shape in shapes))


def _judged_by_t(probe: str, values: Vector, settings: ProbeSettings, sentence: str) -> ProbeResult:
    if np.isnan(values).any():
        return _unknown(probe, "no test block can be ranked")
    excess = float(values.mean()) - settings.negligible_ic
    error = float(values.std(ddof=1)) / np.sqrt(values.size)
    # Without any spread, as with a pipeline that does not look at the labels, the sign alone decides.
    t = excess / error if error > 0 else np.copysign(np.inf, excess)
    return _judged(probe, float(t), settings.largest_t, f"{sentence} (t = {t:.1f})")


def _judged(probe: str, statistic: float, limit: float, sentence: str) -> ProbeResult:
    verdict = Verdict.LEAK if statistic > limit else Verdict.CLEAN
    return ProbeResult(probe=probe, verdict=verdict, statistic=statistic, limit=limit, sentence=sentence)


def _unknown(probe: str, sentence: str) -> ProbeResult:
    return _without_number(probe, Verdict.INSUFFICIENT_OBSERVATION, sentence)


def _broken(probe: str, sentence: str) -> ProbeResult:
    return _without_number(probe, Verdict.BROKEN, sentence)


def _without_number(probe: str, verdict: Verdict, sentence: str) -> ProbeResult:
    return ProbeResult(probe=probe, verdict=verdict, statistic=np.nan, limit=np.nan, sentence=sentence)
