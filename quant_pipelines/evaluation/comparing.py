"""Candidate and champion on the very same rows: what was seen of each, and what lies between them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.evaluation.bootstrap import Doubt, Resampling, block_sessions, doubt, times_drawn
from quant_pipelines.evaluation.direction import SIGN, Directions, Edges, directions, over, shares
from quant_pipelines.evaluation.evidence import Estimate, Gain, Seen
from quant_pipelines.evaluation.failures import RowsDiffer
from quant_pipelines.evaluation.metrics import Judged
from quant_pipelines.evaluation.sums import MEASURES, Measure, Sums, are_numbers, measures_for, session_sums, totals

Compared = tuple[Seen, Seen | None, dict[str, Gain], Gain | None]
_LOSS = "mse"


@dataclass(frozen=True, eq=False, kw_only=True)
class Scored:
    """One version and what it forecast."""

    version: str
    version_id: str
    judged: Judged


@dataclass(frozen=True, eq=False, kw_only=True)
class _Redrawn:
    """One measure of one model: its value, those of all resamples, and how many sessions it is made of."""

    value: float
    resampled: NDArray[np.float64]
    sessions: int


@dataclass(frozen=True, eq=False, kw_only=True)
class _Draws:
    """The sessions that are drawn, for both models alike."""

    resampling: Resampling
    block: int
    times: NDArray[np.float64]

    @classmethod
    def of(cls, sessions: int, resampling: Resampling) -> "_Draws":
        block = block_sessions(sessions, resampling.span_sessions)
        return cls(resampling=resampling, block=block, times=times_drawn(sessions, resampling))

    def redrawn(self, sums: Sums, kind: str) -> dict[str, _Redrawn]:
        total, resampled = totals(sums), {name: self.times @ each for name, each in sums.items()}
        counted = {name: int((each != 0).any(axis=1).sum()) for name, each in sums.items()}
        return {
            name: _Redrawn(value=float(measure(total)), resampled=measure(resampled), sessions=counted[measure.of])
            for name, measure in measures_for(kind).items()
        }

    def estimate(self, model: _Redrawn, measure: Measure) -> Estimate:
        if not np.isfinite(model.value):
            return Estimate(value=None)
        found = doubt(model.resampled, model.sessions, self.block)
        if found is None:
            return Estimate(value=model.value)
        low, high = found.interval(model.value, self.resampling.confidence)
        luck = None if measure.nothing is None else found.luck(model.value - measure.nothing)
        return Estimate(value=model.value, low=max(low, measure.least), high=min(high, measure.most), luck=luck)

    def gain(self, candidate: _Redrawn, champion: _Redrawn) -> Gain:
        value = candidate.value - champion.value
        if not np.isfinite(value):
            return Gain(value=None)
        found = self._doubt(candidate.resampled - champion.resampled, candidate, champion)
        if found is None:
            return Gain(value=value)
        low, high = found.interval(value, self.resampling.confidence)
        return Gain(value=value, low=low, high=high, luck=found.luck(value))

    def ratio(self, candidate: _Redrawn, champion: _Redrawn) -> Gain:
        """Of losses, in logarithms: a half and a double are equally far from equal."""
        value = float(over(np.array(candidate.value), np.array(champion.value)))
        if not np.isfinite(value):
            return Gain(value=None)
        if value == 0:
            return Gain(value=0.0)
        ratios = over(candidate.resampled, champion.resampled)
        found = self._doubt(np.log(np.where(ratios > 0, ratios, np.nan)), candidate, champion)
        if found is None:
            return Gain(value=value)
        low, high = np.exp(found.interval(float(np.log(value)), self.resampling.confidence))
        return Gain(value=value, low=float(low), high=float(high), luck=found.luck(-float(np.log(value))))

    def _doubt(self, resampled: NDArray[np.float64], candidate: _Redrawn, champion: _Redrawn) -> Doubt | None:
        return doubt(resampled, min(candidate.sessions, champion.sessions), self.block)


def compared(candidate: Scored, champion: Scored | None, resampling: Resampling, edges: Edges = SIGN) -> Compared:
    """What was seen of candidate and champion, the gains by measure, and the ratio of their MSEs.

    Without a champion there are neither gains nor a ratio. Models of different tasks miss in different units, so they
    have no ratio. Whatever a forecast enters that is no number is null.
    """
    if champion is not None:
        require_same_rows(candidate.judged, champion.judged)
    draws = _Draws.of(np.unique(candidate.judged.sessions).size, resampling)
    mine = draws.redrawn(session_sums(candidate.judged, edges), candidate.judged.task.kind)
    seen = _seen(candidate, mine, draws, edges)
    if champion is None:
        return seen, None, {}, None
    theirs = draws.redrawn(session_sums(champion.judged, edges), champion.judged.task.kind)
    gains = {
        name: draws.gain(each, theirs[name]) for name, each in mine.items() if MEASURES[name].rises and name in theirs
    }
    alike = candidate.judged.task == champion.judged.task
    ratio = draws.ratio(mine[_LOSS], theirs[_LOSS]) if alike else Gain(value=None)
    return seen, _seen(champion, theirs, draws, edges), gains, ratio


def require_same_rows(candidate: Judged, champion: Judged) -> None:
    """Refuse two models that were not judged by the same rows in the same order."""
    same = {
        "sessions": np.array_equal(candidate.sessions, champion.sessions),
        "returns": np.array_equal(candidate.value, champion.value),
        "targets": candidate.task != champion.task or np.array_equal(candidate.target, champion.target),
    }
    differ = [what for what, equal in same.items() if not equal]
    if differ:
        raise RowsDiffer(
            f"Candidate and champion have different {' and '.join(differ)} ({candidate.value.size} and "
            f"{champion.value.size} rows). Judge both on the same rows, in the same order."
        )


def _seen(scored: Scored, measures: Mapping[str, _Redrawn], draws: _Draws, edges: Edges) -> Seen:
    judged = scored.judged
    numbers = are_numbers(judged.predictions)
    found = directions(judged, edges)
    counts = Directions(forecast=found.forecast[numbers], actual=found.actual[numbers]).counts
    return Seen(
        version=scored.version,
        version_id=scored.version_id,
        measures={name: draws.estimate(each, MEASURES[name]) for name, each in measures.items()},
        shares=shares(counts),
        distinct=int(np.unique(judged.task.signal(judged.predictions[numbers])).size),
        not_finite=int((~numbers).sum()),
    )
