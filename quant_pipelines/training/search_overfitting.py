"""How far a search's choice is luck: sessions that it tested anyway, halved in every way. It trains nothing."""

from collections.abc import Sequence
from math import comb

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.evaluation.luck import Choice, overfitting
from quant_pipelines.evaluation.metrics import Judged, by_session, ranked_by_session
from quant_pipelines.training.search_folds import Places
from quant_pipelines.training.search_result import Overfitting, TrialRow

# 924 ways to halve the time: enough for two digits, and a thousand trials are worked out in a second.
BLOCKS = 12
_FEWEST_TRIALS = 2
# What a search of each objective compared its trials by, session by session.
_CHOICES: dict[str, Choice] = {"ic": "mean", "rank_ic": "mean", "icir": "sharpe"}


def session_values(judged: Judged, objective: str) -> tuple[float | None, ...]:
    """What the objective is the mean of, by tested session; nothing where it is no mean over sessions."""
    if objective not in _CHOICES:
        return ()
    correlate = ranked_by_session if objective == "rank_ic" else by_session
    found = correlate(judged.score, judged.value, judged.sessions)
    return tuple(None if np.isnan(each) else float(each) for each in found)


def overfitting_of(rows: Sequence[TrialRow], objective: str, paths: Sequence[Places]) -> Overfitting:
    """From the trials that tested every fold; the others have no word on most sessions. The mean over all paths."""
    series = [each.by_session for each in rows if each.state == "completed" and each.by_session]
    if objective not in _CHOICES:
        return _unknown(series, 0, f"{objective} is no mean over sessions, so the time cannot be halved.")
    if len(series) < _FEWEST_TRIALS:
        return _unknown(series, 0, f"{len(series)} trials tested every fold; there must be {_FEWEST_TRIALS}.")
    everything = np.array(series, np.float64).T
    tables = [_ranked(everything[path]) for path in paths]
    found = [overfitting(each, blocks=BLOCKS, by=_CHOICES[objective]) for each in tables]
    shortest = min(len(each) for each in tables)
    if None in found:
        return _unknown(series, shortest, f"{shortest} tested sessions are too few; there must be {2 * BLOCKS}.")
    probability = float(np.mean([each for each in found if each is not None]))
    each_path = f"On each of {len(paths)} paths {shortest}" if len(paths) > 1 else f"{shortest}"
    words = (
        f"{each_path} tested sessions were halved in {comb(BLOCKS, BLOCKS // 2)} ways. In {probability:.0%} of them "
        f"the best in one half of the {len(series)} trials that tested every fold was below their median in the other; "
        "50% is blind choice."
    )
    return Overfitting(probability=probability, trials=len(series), sessions=shortest, paths=len(paths), words=words)


def _ranked(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sessions in which every trial could be ranked."""
    return table[np.isfinite(table).all(axis=1)]


def _unknown(series: Sequence[object], sessions: int, reason: str) -> Overfitting:
    return Overfitting(probability=None, trials=len(series), sessions=sessions, words=f"Not known: {reason}")
