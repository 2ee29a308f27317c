"""Candidate and champion: the values on record, and that equal models are told apart as rarely as promised."""

from dataclasses import replace

import numpy as np
import pytest

from quant_pipelines.evaluation.bootstrap import Resampling
from quant_pipelines.evaluation.comparing import Scored, compared
from quant_pipelines.evaluation.evidence import Gain
from quant_pipelines.evaluation.failures import RowsDiffer
from quant_pipelines.evaluation.metrics import Judged
from quant_pipelines.evaluation.sums import holdout_measures
from quant_pipelines.models import Task

RESAMPLING = Resampling(seed=7, span_sessions=1)
GAINS = {"accuracy", "f1", "balanced_f1", "mcc", "direction_accuracy", "ic", "rank_ic", "icir"}


def outcomes(chance, sessions: int, names: int, *, keeps: float = 0.0, span: int = 1) -> np.ndarray:
    """Returns that share a market, remember the session before, and overlap as the labels of a span do."""
    steps = sessions + span + 30
    shocks = np.sqrt(0.3) * chance.standard_normal((steps, 1)) + np.sqrt(0.7) * chance.standard_normal((steps, names))
    for at in range(1, steps):
        shocks[at] = keeps * shocks[at - 1] + np.sqrt(1 - keeps**2) * shocks[at]
    paths = np.cumsum(shocks, axis=0)
    return 0.01 * (paths[span:] - paths[:-span])[-sessions:]


def scored(version: str, forecasts: np.ndarray, value: np.ndarray) -> Scored:
    sessions = np.repeat(np.arange(len(value)), value.shape[1])
    return Scored(
        version=version,
        version_id=f"id-{version}",
        judged=Judged(
            task=Task(),
            predictions=forecasts.reshape(-1, 1).astype(np.float32),
            target=value.reshape(-1, 1).astype(np.float32),
            value=value.ravel(),
            sessions=sessions,
        ),
    )


def two(*, skill: float, sessions: int = 66, names: int = 20) -> tuple[Scored, Scored]:
    """A candidate that knows something, against one that does not."""
    chance = np.random.default_rng(11)
    value = outcomes(chance, sessions, names)
    noise = [0.01 * chance.standard_normal(value.shape) for _ in range(2)]
    return scored("2", skill * value + (1 - skill) * noise[0], value), scored("1", noise[1], value)


@pytest.mark.parametrize("sessions", [10, 20, 40, 66])
def test_equal_models_are_told_apart_as_rarely_as_promised(sessions):
    """Coin flips on outcomes that remember. 300 pairs: a share of 0.05 has a deviation of 0.013."""
    chance, found, held = np.random.default_rng(sessions), [], []
    for seed in range(300):
        value = outcomes(chance, sessions, 3, keeps=0.3)
        pair = [scored(str(each), 0.01 * chance.standard_normal(value.shape), value) for each in range(2)]
        seen, _, gains, ratio = compared(*pair, Resampling(seed=seed, span_sessions=1, resamples=200))
        held.append(seen.measures["accuracy"].low <= 0.5 <= seen.measures["accuracy"].high)
        assert ratio is not None
        found.append([gains["f1"].luck, gains["balanced_f1"].luck, gains["ic"].luck, ratio.luck])
    lucky = (np.array(found, np.float64) <= 0.05).mean(axis=0)
    assert lucky.max() <= 0.075
    assert lucky.min() >= 0.003  # it does speak
    assert np.mean(held) >= 0.87  # of intervals at 0.9


def test_overlapping_labels_and_calls_that_last_do_not_look_like_skill():
    chance, lucky = np.random.default_rng(1), []
    for seed in range(200):
        value = outcomes(chance, 66, 3, span=5)
        pair = [scored(str(each), outcomes(chance, 66, 3, keeps=0.8), value) for each in range(2)]
        gains = compared(*pair, Resampling(seed=seed, span_sessions=5, resamples=200))[2]
        lucky.append(gains["balanced_f1"].luck <= 0.05)
    assert np.mean(lucky) <= 0.085


def test_skill_is_seen():
    seen, other, gains, ratio = compared(*two(skill=0.5), RESAMPLING)
    assert (seen.version, seen.version_id) == ("2", "id-2")
    assert other is not None
    assert other.version == "1"
    assert set(gains) == GAINS
    assert all(gain.luck < 0.01 and gain.low > 0 for gain in gains.values())
    assert ratio.high < 1
    assert ratio.luck < 0.01
    assert sum(seen.shares.values()) == pytest.approx(1)
    assert seen.distinct > 1000


def test_values_are_the_measures_and_gains_their_differences():
    candidate, champion = two(skill=0.1)
    seen, other, gains, ratio = compared(candidate, champion, RESAMPLING)
    assert other is not None
    mine, theirs = holdout_measures(candidate.judged), holdout_measures(champion.judged)
    assert {name: each.value for name, each in seen.measures.items()} == mine
    assert {name: each.value for name, each in gains.items()} == {name: mine[name] - theirs[name] for name in gains}
    assert ratio.value == pytest.approx(mine["mse"] / theirs["mse"])
    for each in [*seen.measures.values(), *other.measures.values(), *gains.values(), ratio]:
        assert each.low <= each.value <= each.high
    assert seen.measures["accuracy"].low >= 0
    assert seen.measures["ic"].high <= 1


def test_swapped_models_gain_the_opposite():
    candidate, champion = two(skill=0.1)
    _, _, gains, ratio = compared(candidate, champion, RESAMPLING)
    _, _, losses, inverse = compared(champion, candidate, RESAMPLING)
    for name, gain in gains.items():
        assert losses[name].value == -gain.value
        assert losses[name].luck == pytest.approx(1 - gain.luck, abs=1e-3)
    assert inverse.value == pytest.approx(1 / ratio.value)


def test_a_model_gains_nothing_on_itself():
    candidate, _ = two(skill=0.1)
    _, _, gains, ratio = compared(candidate, replace(candidate, version="1"), RESAMPLING)
    assert {(gain.value, gain.low, gain.high, gain.luck) for gain in gains.values()} == {(0.0, 0.0, 0.0, 1.0)}
    assert (ratio.value, ratio.luck) == (1.0, 1.0)


def test_the_order_of_rows_does_not_matter():
    candidate, champion = two(skill=0.1)
    order = np.random.default_rng(0).permutation(candidate.judged.value.size)

    def shuffled(each: Scored) -> Scored:
        judged = each.judged
        parts = {name: getattr(judged, name)[order] for name in ("predictions", "target", "value", "sessions")}
        return replace(each, judged=replace(judged, **parts))

    found, again = (
        compared(*pair, RESAMPLING)[2] for pair in ((candidate, champion), (shuffled(candidate), shuffled(champion)))
    )
    for name, gain in found.items():
        assert again[name].model_dump() == pytest.approx(gain.model_dump(), abs=1e-9)


def test_without_a_champion_there_is_nothing_to_gain():
    seen, other, gains, ratio = compared(two(skill=0.5)[0], None, RESAMPLING)
    assert seen.measures["ic"].value is not None
    assert (other, gains, ratio) == (None, {}, None)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_forecasts_that_are_no_numbers_are_counted_and_leave_null(wrong):
    candidate, champion = two(skill=0.5)
    given = candidate.judged.predictions.copy()
    given[[5, 900]] = wrong
    seen, other, gains, ratio = compared(
        replace(candidate, judged=replace(candidate.judged, predictions=given)), champion, RESAMPLING
    )
    assert other is not None
    assert (seen.not_finite, other.not_finite) == (2, 0)
    assert {each.value for each in seen.measures.values()} == {None}
    assert all(each.value is not None for each in other.measures.values())
    assert set(gains.values()) == {Gain(value=None)}
    assert ratio == Gain(value=None)
    assert "NaN" not in seen.model_dump_json()


def test_a_model_of_nothing_but_nan_is_seen_as_that():
    candidate, _ = two(skill=0.5)
    nothing = replace(candidate.judged, predictions=np.full_like(candidate.judged.predictions, np.nan))
    seen, *_ = compared(replace(candidate, judged=nothing), None, RESAMPLING)
    assert (seen.not_finite, seen.distinct) == (nothing.value.size, 0)
    assert set(seen.shares.values()) == {0.0}


def test_constant_forecasts_have_one_score_and_one_share():
    candidate, champion = two(skill=0.5)
    same = replace(candidate.judged, predictions=np.full_like(candidate.judged.predictions, 0.01))
    seen, _, gains, _ = compared(replace(candidate, judged=same), champion, RESAMPLING)
    assert seen.distinct == 1
    assert seen.shares == {"down": 0.0, "neutral": 0.0, "up": 1.0}
    assert gains["ic"] == Gain(value=None)


def test_too_few_sessions_give_values_and_no_luck():
    _, _, gains, ratio = compared(*two(skill=0.5, sessions=5), RESAMPLING)
    assert gains["f1"].value is not None
    assert (gains["f1"].luck, gains["f1"].low, ratio.luck) == (None, None, None)
    assert compared(*two(skill=0.5, sessions=20), replace(RESAMPLING, span_sessions=5))[2]["f1"].luck is None


def test_other_rows_are_refused():
    candidate, champion = two(skill=0.5)
    for name in ("value", "sessions", "target"):
        changed = getattr(champion.judged, name).copy()
        changed[3] += 1
        with pytest.raises(RowsDiffer, match="different"):
            compared(candidate, replace(champion, judged=replace(champion.judged, **{name: changed})), RESAMPLING)


def test_models_of_different_tasks_have_no_ratio_of_misses():
    candidate, champion = two(skill=0.5)
    value = champion.judged.value
    up = (champion.judged.predictions[:, 0] > 0).astype(np.float32)
    classes = replace(
        champion.judged,
        task=Task(kind="classes", outputs=2),
        predictions=np.stack([1 - up, up], axis=1),
        target=(value > 0).astype(np.int64),
    )
    _, other, gains, ratio = compared(candidate, replace(champion, judged=classes), RESAMPLING)
    assert other is not None
    assert ratio == Gain(value=None)
    assert set(gains) == GAINS
    assert gains["f1"].value == pytest.approx(compared(candidate, champion, RESAMPLING)[2]["f1"].value)


def test_a_champion_without_a_miss_has_no_ratio():
    candidate, champion = two(skill=0.5)
    perfect = replace(champion, judged=replace(champion.judged, predictions=champion.judged.target))
    assert compared(candidate, perfect, RESAMPLING)[3] == Gain(value=None)
    assert compared(perfect, candidate, RESAMPLING)[3] == Gain(value=0.0)
