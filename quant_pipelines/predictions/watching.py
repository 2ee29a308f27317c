"""What is read of the champions after a session: are they still right, fast, and given what they know? (S2-87)"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from quant_pipelines.arrays import SESSION, SESSION_TYPE
from quant_pipelines.calendars import Session, session_key
from quant_pipelines.deployment import live_on, recorded
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.evaluation.evidence import Evidence
from quant_pipelines.journal import Journal
from quant_pipelines.lake import Lake, Window
from quant_pipelines.lake.schemas import TableSchema
from quant_pipelines.markets import Market
from quant_pipelines.monitoring import ACCURACY_DROP, DRIFT_SCORE, LATENCY_MS, PREDICTION_ERRORS, Reading, drift
from quant_pipelines.predictions.schema import LINEAGE, PREDICTIONS, STRATEGY, VERSION
from quant_pipelines.snapshots import Document, SnapshotArrays, SnapshotStore, UnknownSnapshot, load

# So many rows say what a training saw, and as many what was given lately.
MOST_ROWS = 20_000
# Parts of a training that are compared with all of it, to know what is usual.
PARTS = 12
_FEWEST_PARTS, _FURTHEST, _SPARE = 3, 5, 3
_RESOLVES, _VALUE, _SCORE = "resolves", "value", "score"
_MEASURE = "direction_accuracy"
Rows = NDArray[np.float32]
Samples = NDArray[np.int64]
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """One of each metric and champion, and what could not be read."""

    found: tuple[Reading, ...]
    failures: tuple[QuantPipelinesError, ...]


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Reads what is watched in one market, over so many of the last sessions."""

    market: Market
    lake: Lake
    journal: Journal
    snapshots: SnapshotStore
    sessions: int

    def readings(
        self, strategies: Sequence[str], session: Session, response_ms: Mapping[str, Sequence[float]]
    ) -> Readings:
        """Of every strategy that had a champion at the session. What cannot be read of one keeps nobody from the
        others: its reading says why."""
        errors = self._recent(PREDICTION_ERRORS, (STRATEGY, VERSION, _SCORE, _VALUE, _RESOLVES), session)
        given = self._recent(PREDICTIONS, (STRATEGY, VERSION, LINEAGE), session)
        given = given.group_by([SESSION, STRATEGY, VERSION, LINEAGE], use_threads=False).aggregate([])
        found: list[Reading] = []
        failures: list[QuantPipelinesError] = []
        for strategy in strategies:
            live = live_on(self.journal, f"{self.market.name}.{strategy}", session)
            if live.champion is None:
                continue
            version, decision = f"{live.model}/{live.champion.version.number}", live.champion.decision
            asked = _Asked(strategy, version, session, self._evidence(decision))
            for metric, read in self._metrics(asked, errors, given, response_ms.get(strategy, ())).items():
                try:
                    each = read()
                except QuantPipelinesError as error:
                    each = _Read.nothing(0, f"It could not be read: {error}")
                    failures.append(error)
                found.append(Reading(session=session, strategy=strategy, metric=metric, version=version, **vars(each)))
        return Readings(found=tuple(found), failures=tuple(failures))

    def _metrics(
        self, asked: "_Asked", errors: pa.Table, given: pa.Table, response_ms: Sequence[float]
    ) -> Mapping[str, "Callable[[], _Read]"]:
        return {
            ACCURACY_DROP.name: lambda: self._accuracy_drop(asked, _of(errors, asked)),
            LATENCY_MS.name: lambda: _slowest(response_ms),
            DRIFT_SCORE.name: lambda: self._drift(asked, _of(given, asked)),
        }

    def _evidence(self, decision: str | None) -> Evidence | None:
        found = None if decision is None else recorded(self.journal, decision)
        return None if found is None else found[1].evidence

    def _accuracy_drop(self, asked: "_Asked", rows: pa.Table) -> "_Read":
        """By the measure of the holdout, on errors that were known at the session."""
        measure = None if asked.evidence is None else asked.evidence.candidate.measures.get(_MEASURE)
        if measure is None or measure.value is None:
            return _Read.nothing(0, f"No decision about {asked.version} has a {_MEASURE} to compare with.")
        rows = rows.filter(pc.less_equal(rows[_RESOLVES], pa.scalar(asked.session, SESSION_TYPE)))
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

    def _drift(self, asked: "_Asked", rows: pa.Table) -> "_Read":
        """What the version was given at its last sessions against its training rows, as the model sees both."""
        if asked.evidence is None:
            return _Read.nothing(0, f"No decision about {asked.version} says what it was trained on.")
        pairs = sorted((each[SESSION], each[LINEAGE]) for each in rows.to_pylist())
        given = [found for each in pairs[-self.sessions :] if (found := self._given(*each)) is not None]
        if len(given) < self.sessions:
            return _Read.nothing(len(given), f"{len(given)} sessions have an inference, {self.sessions} are needed.")
        document = self.snapshots.document(asked.evidence.snapshot_id)
        trained = load(self.snapshots, document)
        learned, parts = trained.part("train"), parts_of(trained, self.sessions)
        if len(parts) < _FEWEST_PARTS:
            told = f"Its training has {len(parts)} parts of {self.sessions} sessions, {_FEWEST_PARTS} are needed."
            return _Read.nothing(len(given), told)
        found = drift(
            trained.panel(_drawn(learned, document)),
            [trained.panel(_drawn(each, document)) for each in parts],
            _drawn(np.concatenate(given), document),
            trained.columns,
        )
        furthest = ", ".join(f"{name} {value:.2f}" for name, value in found.furthest(_FURTHEST))
        told = f"As many sessions of the training lie {found.usual:.2f} from all of it. Moved most: {furthest}."
        return _Read(value=found.score, observations=len(given), about=told)

    def _given(self, session: Session, inference: str) -> Rows | None:
        """The rows of an inference; none where it was not kept."""
        try:
            arrays = load(self.snapshots, self.snapshots.document(inference))
        except UnknownSnapshot:
            return None
        return arrays.panel(arrays.axis[arrays.session[arrays.samples]] == np.datetime64(session, "us"))

    def _recent(self, schema: TableSchema, columns: Sequence[str], session: Session) -> pa.Table:
        """Rows of more sessions than are needed, since some have none."""
        names = [SESSION, *columns]
        table = self.lake.stored(self.market.name, schema.name)
        if table is None:
            return schema.arrow.empty_table().select(names)
        first = self.market.sessions_calendar.offset(session, -_SPARE * self.sessions)
        return table.read(Window(first, session), columns=names)


def parts_of(arrays: SnapshotArrays, sessions: int) -> list[Samples]:
    """Parts of the training, each of so many sessions side by side, spread over all of it."""
    learned = arrays.part("train")
    place = arrays.session[arrays.samples[learned]]
    there = np.unique(place)
    begins = np.arange(0, there.size - sessions + 1, sessions)
    chosen = begins[:: max(1, -(-begins.size // PARTS))]
    return [learned[(place >= there[begin]) & (place <= there[begin + sessions - 1])] for begin in chosen]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A champion, the session after which it is looked at, and what its decision saw."""

    strategy: str
    version: str
    session: Session
    evidence: Evidence | None


def _drawn(rows: NDArray[T], document: Document) -> NDArray[T]:
    """As many as are looked at.

    Not at equal distances: rows lie by session and symbol, so that would be a few symbols again and again.
    """
    if len(rows) <= MOST_ROWS:
        return rows
    chance = np.random.default_rng(int(document.id[:16], 16))
    return rows[np.sort(chance.choice(len(rows), MOST_ROWS, replace=False))]


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A number, or why there is none."""

    value: float | None
    observations: int
    about: str

    @classmethod
    def nothing(cls, observations: int, why: str) -> "_Read":
        return cls(value=None, observations=observations, about=why)


def _of(rows: pa.Table, asked: _Asked) -> pa.Table:
    return rows.filter(pc.and_(pc.equal(rows[STRATEGY], asked.strategy), pc.equal(rows[VERSION], asked.version)))


def _slowest(response_ms: Sequence[float]) -> _Read:
    if not response_ms:
        return _Read.nothing(0, "No answer of the session was measured.")
    return _Read(
        value=max(response_ms), observations=len(response_ms), about=f"{len(response_ms)} versions were asked."
    )
