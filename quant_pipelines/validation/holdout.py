"""The last sessions, put aside before anything else is split (X-18, X-19)."""

from dataclasses import dataclass

import numpy as np

from quant_pipelines.validation.failures import BadSplitSettings
from quant_pipelines.validation.spans import LabelSpans, Rows
from quant_pipelines.validation.splits import Status

MOST_HOLDOUT = 66
LEAST_HOLDOUT = 10
_SHARE_OF_HOLDOUT = 3
LEAST_VALIDATION = 20
LEAST_TRAINING = 40


def holdout_sessions(sessions: int) -> int:
    """min(66, max(10, n // 3)) (S3-47)."""
    return min(MOST_HOLDOUT, max(LEAST_HOLDOUT, sessions // _SHARE_OF_HOLDOUT))


@dataclass(frozen=True, eq=False, kw_only=True)
class HoldoutSplit:
    """Row numbers, ascending, oldest part first; `gaps` are the rows of the sessions between the parts."""

    status: Status
    train: Rows
    validation: Rows
    holdout: Rows
    gaps: Rows
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdout:
    """Holdout last, a gap as long as the label span, validation, the same gap, training.

    `validation_share` is that of the sessions before the holdout's gap, 20 sessions at least.
    """

    validation_share: float

    def __post_init__(self) -> None:
        if not 0 < self.validation_share < 1:
            raise BadSplitSettings(f"validation_share is {self.validation_share}; it lies between 0 and 1.")

    def split(self, spans: LabelSpans) -> HoldoutSplit:
        """All parts in sessions; with too few of them no row is in any part, and the status says so."""
        sessions, gap = spans.sessions, spans.gap_sessions
        held = sessions[-holdout_sessions(sessions.size) :]
        before = sessions[sessions < held[0] - gap] if held.size else held
        count = max(LEAST_VALIDATION, round(self.validation_share * before.size))
        validated = before[-count:]
        trained = before[before < validated[0] - gap] if validated.size else validated
        if held.size < LEAST_HOLDOUT or validated.size < LEAST_VALIDATION or trained.size < LEAST_TRAINING:
            return _insufficient(spans, held.size, validated.size, trained.size)
        return HoldoutSplit(
            status=Status.OK,
            train=spans.within(trained[0], trained[-1]),
            validation=spans.within(validated[0], validated[-1]),
            holdout=spans.within(held[0], held[-1]),
            gaps=np.union1d(
                spans.within(trained[-1] + 1, validated[0] - 1), spans.within(validated[-1] + 1, held[0] - 1)
            ),
        )


def _insufficient(spans: LabelSpans, held: int, validated: int, trained: int) -> HoldoutSplit:
    nothing = np.empty(0, np.int64)
    return HoldoutSplit(
        status=Status.INSUFFICIENT_OBSERVATION,
        train=nothing,
        validation=nothing,
        holdout=nothing,
        gaps=nothing,
        reason=f"{spans.sessions.size} sessions have labels: with gaps of {spans.gap_sessions} they make {held} of "
        f"holdout, {validated} of validation and {trained} of training; {LEAST_HOLDOUT}, {LEAST_VALIDATION} and "
        f"{LEAST_TRAINING} are the least.",
    )
