"""The targets of the two-headed network: one sample per window of sessions of one symbol."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.labels.build import direction
from quant_pipelines.labels.failures import BadLabelInput
from quant_pipelines.labels.returns import Matrix, forward_returns
from quant_pipelines.labels.sets import DUAL_SESSIONS, SIGN

SEQUENCE_SESSIONS = 60
FEWEST_SESSIONS = SEQUENCE_SESSIONS + DUAL_SESSIONS


@dataclass(frozen=True, eq=False, kw_only=True)
class DualTargets:
    """`ends` is the last session of each sample's window; `left_out` windows had a close missing in their span."""

    ends: NDArray[np.int64]
    direction: NDArray[np.int8]
    magnitude: NDArray[np.float32]
    left_out: int


def dual_targets(close: NDArray[np.float64]) -> DualTargets:
    """0/1 for the sign of the next 5 sessions' return and the 5 returns, from adjusted closes, oldest first.

    Fewer than 65 sessions have no complete sample and give empty arrays.
    """
    if close.ndim != 1:
        raise BadLabelInput(f"close has shape {close.shape}; the targets of one symbol need a vector.")
    ends = np.arange(SEQUENCE_SESSIONS - 1, close.size - DUAL_SESSIONS)
    over = forward_returns(close[:, None], (1, DUAL_SESSIONS))
    magnitude = _following(over[1][:, 0], ends)
    total = over[DUAL_SESSIONS][ends, 0]
    whole = ~np.isnan(magnitude).any(axis=1)
    return DualTargets(
        ends=ends[whole],
        direction=direction(total[whole], SIGN),
        magnitude=magnitude[whole].astype(np.float32),
        left_out=int(ends.size - whole.sum()),
    )


def _following(returns: NDArray[np.float64], ends: NDArray[np.int64]) -> Matrix:
    """The returns of the sessions after each end."""
    return returns[ends[:, None] + np.arange(DUAL_SESSIONS)]
