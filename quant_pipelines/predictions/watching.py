"""What is read of a strategy's champion after a session: is it still right, fast, and given what it knows? (S2-87)"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from quant_pipelines.arrays import SESSION, SESSION_TYPE
from quant_pipelines.calendars import Session, session_key
from quant_pipelines.deployment import live_on, recorded
from quant_pipelines.evaluation.evidence import Evidence
from quant_pipelines.journal import Journal
from quant_pipelines.lake import Lake, Window
from quant_pipelines.lake.schemas import TableSchema
from quant_pipelines.markets import Market
from quant_pipelines.monitoring import ACCURACY_DROP, DRIFT_SCORE, LATENCY_MS, PREDICTION_ERRORS, Reading, drift
from quant_pipelines.predictions.schema import LINEAGE, PREDICTIONS, STRATEGY, VERSION
from quant_pipelines.snapshots import Document, SnapshotStore, UnknownSnapshot, load

# So many rows of a training say what it saw; they are taken at equal distances.
MOST_ROWS = 20_000
_FURTHEST, _SPARE = 5, 3
_RESOLVES, _VALUE, _SCORE = "resolves", "value", "score"
_MEASURE = "direction_accuracy"
Rows = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Reads what is watched in one market, over so many of the last sessions."""

    market: Market
    lake: Lake
    journal: Journal
    snapshots: SnapshotStore
    sessions: int

    def readings(self, strategy: str, session: Session, response_ms: Sequence[float]) -> list[Reading]:
        """One of each metric; none where nothing was live at the session."""
        live = live_on(self.journal, f"{self.market.name}.{strategy}", session)
        if live.champion is None:
            return []
        seen = _Seen(self, strategy, f"{live.model}/{live.champion.version.number}", session)
        decided = None if live.champion.decision is None else recorded(self.journal, live.champion.decision)
        evidence = None if decided is None else decided[1].evidence
        found = {
            ACCURACY_DROP.name: self._accuracy_drop(seen, evidence),
            LATENCY_MS.name: _slowest(response_ms),
            DRIFT_SCORE.name: self._drift(seen, evidence),
        }
        return [
            Reading(session=session, strategy=strategy, metric=name, version=seen.version, **vars(each))
            for name, each in found.items()
        ]

    def _accuracy_drop(self, seen: "_Seen", evidence: Evidence | None) -> "_Read":
        """By the measure of the holdout, on errors that were known at the session."""
        measure = None if evidence is None else evidence.candidate.measures.get(_MEASURE)
        if measure is None or measure.value is None:
            return _Read.nothing(0, f"No decision about {seen.version} has a {_MEASURE} to compare with.")
        rows = seen.rows(PREDICTION_ERRORS)
        rows = rows.filter(pc.less_equal(rows[_RESOLVES], pa.scalar(seen.session, SESSION_TYPE)))
        sessions = sorted(rows[SESSION].unique().to_pylist())[-self.sessions :]
        if len(sessions) < self.sessions:
            return _Read.nothing(len(sessions), f"{len(sessions)} sessions have errors, {self.sessions} are needed.")
        rows = rows.filter(pc.greater_equal(rows[SESSION], pa.scalar(sessions[0], SESSION_TYPE)))
        score, value = (rows[name].to_numpy() for name in (_SCORE, _VALUE))
        moved = value != 0
        if not moved.any():
            return _Read.nothing(len(sessions), "No price has moved.")
        lately = float(np.mean(np.sign(score[moved]) == np.sign(value[moved])))
        told = f"From {session_key(sessions[0])} to {session_key(sessions[-1])} {lately:.1%} of {moved.sum()} "
        told += f"predictions pointed the right way, {measure.value:.1%} in the holdout."
        return _Read(value=measure.value - lately, observations=len(sessions), about=told)

    def _drift(self, seen: "_Seen", evidence: Evidence | None) -> "_Read":
        """What the version was given at its last sessions against its training rows, as the model sees both."""
        if evidence is None:
            return _Read.nothing(0, f"No decision about {seen.version} says what it was trained on.")
        rows = seen.rows(PREDICTIONS)
        asked = sorted({(each[SESSION], each[LINEAGE]) for each in rows.select([SESSION, LINEAGE]).to_pylist()})
        given = [found for each in asked[-self.sessions :] if (found := self._given(*each)) is not None]
        if len(given) < self.sessions:
            return _Read.nothing(len(given), f"{len(given)} sessions have an inference, {self.sessions} are needed.")
        document = self.snapshots.document(evidence.snapshot_id)
        found = drift(self._learned_from(document), np.concatenate(given), document.recipe.columns)
        furthest = ", ".join(f"{name} {value:.2f}" for name, value in found.furthest(_FURTHEST))
        return _Read(value=found.score, observations=len(given), about=f"The columns that moved most: {furthest}.")

    def _given(self, session: Session, inference: str) -> Rows | None:
        """The rows of an inference; none where it was not kept."""
        try:
            arrays = load(self.snapshots, self.snapshots.document(inference))
        except UnknownSnapshot:
            return None
        return arrays.panel(arrays.axis[arrays.session[arrays.samples]] == np.datetime64(session, "us"))

    def _learned_from(self, document: Document) -> Rows:
        arrays = load(self.snapshots, document)
        samples = arrays.part("train")
        return arrays.panel(samples[:: -(-samples.size // MOST_ROWS)])


@dataclass(frozen=True)
class _Seen:
    """A version that serves, and the session after which it is looked at."""

    watch: Watch
    strategy: str
    version: str
    session: Session

    def rows(self, schema: TableSchema) -> pa.Table:
        """Its rows, of more sessions than are needed: some have none."""
        market = self.watch.market
        first = market.sessions_calendar.offset(self.session, -_SPARE * self.watch.sessions)
        table = self.watch.lake.stored(market.name, schema.name)
        if table is None:
            return schema.arrow.empty_table()
        rows = table.read(Window(first, self.session))
        return rows.filter(pc.and_(pc.equal(rows[STRATEGY], self.strategy), pc.equal(rows[VERSION], self.version)))


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A number, or why there is none."""

    value: float | None
    observations: int
    about: str

    @classmethod
    def nothing(cls, observations: int, why: str) -> "_Read":
        return cls(value=None, observations=observations, about=why)


def _slowest(response_ms: Sequence[float]) -> _Read:
    if not response_ms:
        return _Read.nothing(0, "No answer of the session was measured.")
    return _Read(
        value=max(response_ms), observations=len(response_ms), about=f"{len(response_ms)} versions were asked."
    )
