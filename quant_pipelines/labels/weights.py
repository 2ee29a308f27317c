"""How much a training row counts: less where its label shares its sessions with others, less the older it is.

Sessions are whole numbers here: places in the market's calendar.
"""

import numpy as np
import numpy.typing as npt

from quant_pipelines.labels.failures import BadLabelInput, BadLabelSettings

Weights = npt.NDArray[np.float64]
Integers = npt.NDArray[np.integer]


def average_uniqueness(opens: Integers, resolves: Integers, symbols: Integers) -> Weights:
    """Mean over a label's returns of 1 / (labels of the same symbol that contain the return): Lopez de Prado, 4.4.

    The returns of a label are those of the sessions after `opens` up to `resolves`, so that one-session labels are
    unique. `symbols` are whole numbers from 0. Leave absent labels out: they share nothing.
    """
    _require_spans(opens, resolves, symbols)
    if opens.size == 0:
        return np.empty(0)
    begin, end = opens - opens.min(), resolves - opens.min()
    shape = int(symbols.max()) + 1, int(end.max()) + 2
    starts, stops = (np.bincount(symbols * shape[1] + each + 1, minlength=shape[0] * shape[1]) for each in (begin, end))
    concurrent = np.cumsum((starts - stops).reshape(shape), axis=1)
    shares = np.cumsum(np.divide(1.0, concurrent, out=np.zeros(shape), where=concurrent > 0), axis=1)
    return (shares[symbols, end] - shares[symbols, begin]) / (end - begin)


def exponential_decay(age_sessions: Integers, *, half_life_sessions: float) -> Weights:
    """1 for the newest row, half of it after each half-life."""
    _require_ages(age_sessions)
    if not half_life_sessions > 0:
        raise BadLabelSettings(f"half_life_sessions is {half_life_sessions}; weights halve after more than 0 sessions.")
    return np.exp2(-age_sessions / half_life_sessions)


def linear_decay(age_sessions: Integers, *, oldest: float) -> Weights:
    """From 1 for age 0 down to `oldest` for the greatest age; below 0 the oldest rows weigh nothing."""
    _require_ages(age_sessions)
    if not -1 < oldest <= 1:
        raise BadLabelSettings(f"oldest is {oldest}; it is the weight of the oldest row, above -1 and at most 1.")
    greatest = max(int(age_sessions.max(initial=0)), 1)
    return np.maximum(1.0 - (1.0 - oldest) * age_sessions / greatest, 0.0)


def _require_spans(opens: Integers, resolves: Integers, symbols: Integers) -> None:
    if not opens.shape == resolves.shape == symbols.shape:
        raise BadLabelInput(f"{opens.size} openings, {resolves.size} resolutions and {symbols.size} symbols: one each.")
    backward = np.flatnonzero(resolves <= opens)
    if backward.size:
        raise BadLabelInput(
            f"The label in row {backward[0]} opens at {opens[backward[0]]} and resolves at {resolves[backward[0]]}. "
            "A label resolves after it has opened; pass places in the market's calendar."
        )


def _require_ages(age_sessions: Integers) -> None:
    if age_sessions.size and age_sessions.min() < 0:
        raise BadLabelInput(f"An age is {age_sessions.min()} sessions: a row of the future. Count from the newest row.")
