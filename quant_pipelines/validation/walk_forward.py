"""Train on the past, test on what follows, move on."""

from dataclasses import dataclass

import numpy as np

from quant_pipelines.validation.spans import LabelSpans, Places
from quant_pipelines.validation.splits import Split, Splits, Status, insufficient, require_at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForward:
    """Blocks of `test_sessions`, each after `train_sessions` or, where `expanding`, after everything before.

    Between the two lies a gap as long as the longest label span; nobody types it.
    """

    train_sessions: int
    test_sessions: int
    expanding: bool

    def __post_init__(self) -> None:
        require_at_least(1, train_sessions=self.train_sessions, test_sessions=self.test_sessions)

    def split(self, spans: LabelSpans) -> Splits:
        """Every session after the first training window is tested once; the last block may be shorter."""
        sessions, gap = spans.sessions, spans.gap_sessions
        begin = self._first_tested(sessions, gap)
        if begin >= sessions.size:
            return insufficient(
                f"{sessions.size} sessions have labels; training on {self.train_sessions} and a gap of {gap} leave "
                "none to test on."
            )
        starts = range(begin, sessions.size, self.test_sessions)
        splits = tuple(self._split(spans, sessions[start : start + self.test_sessions]) for start in starts)
        return Splits(status=Status.OK, splits=splits)

    def _first_tested(self, sessions: Places, gap: int) -> int:
        if sessions.size < self.train_sessions:
            return sessions.size
        return int(np.searchsorted(sessions, sessions[self.train_sessions - 1] + gap, side="right"))

    def _split(self, spans: LabelSpans, tested: Places) -> Split:
        known = spans.sessions[spans.sessions < tested[0] - spans.gap_sessions]
        first = known[0] if self.expanding else known[-self.train_sessions]
        return Split(
            train=spans.within(first, known[-1]),
            test=spans.within(tested[0], tested[-1]),
            purged=spans.within(known[-1] + 1, tested[0] - 1),
        )
