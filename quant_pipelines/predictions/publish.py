"""From what is live to `predictions`: every version scores the session by an inference of its own."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quant_pipelines.calendars import Session, session_key
from quant_pipelines.deployment import Experiment, Live, Ref, live_on
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.journal import Journal
from quant_pipelines.lake import Commit, Fence, Lake, Table, Window, Writer, no_fence
from quant_pipelines.markets import Market
from quant_pipelines.predictions.experimenting import running, serving
from quant_pipelines.predictions.schema import KEY, PREDICTIONS
from quant_pipelines.serving import Forecasts, Predictor

_MS = 1000


class NothingLive(OperatorActionRequired):
    """Predictions were asked for where no version serves anybody."""

    code = "QP179"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One version that was asked, how, and how long it took to answer once it was loaded: to be given its inference
    and to forecast."""

    strategy: str
    version: str
    role: str
    stage: int
    symbols: int
    serves: int
    infer_lineage_id: str
    response_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPredictions:
    """What one publication did; `silent` are strategies of which nothing was live."""

    session: Session
    rows: pa.Table
    served: tuple[Served, ...]
    silent: tuple[str, ...]
    commit: Commit


@dataclass(frozen=True, kw_only=True)
class PredictionPublisher:
    """Publishes sessions of one market's predictions."""

    market: Market
    lake: Lake
    journal: Journal
    predictor: Predictor
    # Seconds that passed, from any fixed moment: time.monotonic, or a test's own.
    seconds: Callable[[], float] = field(default=time.monotonic)

    @property
    def table(self) -> Table:
        return self.lake.table(self.market.name, PREDICTIONS)

    def publish(
        self, session: Session, strategies: Sequence[str], *, writer: Writer, fence: Fence = no_fence
    ) -> PublishedPredictions:
        """Score the session with whatever stood in the journal at its close. Nothing live is an error (S1-75)."""
        lives = {name: live_on(self.journal, f"{self.market.name}.{name}", session) for name in strategies}
        silent = tuple(name for name, live in lives.items() if live.champion is None)
        if len(silent) == len(lives):
            raise NothingLive(
                f"At {session_key(session)} no version of {', '.join(silent) or 'any strategy'} is live in "
                f"{self.market.name}. Train one, judge it and let its rollout begin; `qp live` shows what serves."
            )
        found = [
            each for name, live in lives.items() if live.champion is not None for each in self._of(name, live, session)
        ]
        rows = pa.concat_tables([each for _, each in found]).sort_by([(name, "ascending") for name in KEY])
        window = Window(session, session)
        commit = self.table.replace(rows, window=window, writer=writer, fence=fence)
        return PublishedPredictions(
            session=session, rows=rows, served=tuple(each for each, _ in found), silent=silent, commit=commit
        )

    def _of(self, strategy: str, live: Live, session: Session) -> Iterable[tuple[Served, pa.Table]]:
        experiment = running(self.journal, live.model, session)
        for asked in _asked(live, experiment):
            stored = self.predictor.loaded(live.model, asked.version.number)
            began = self.seconds()
            forecasts = self.predictor.answer(stored, session)
            response_ms = _MS * (self.seconds() - began)
            chosen = serving(live, experiment, forecasts.symbols.tolist())
            serves = np.array([chosen[each] == asked.version for each in forecasts.symbols.tolist()], bool)
            yield _rows(strategy, asked, forecasts, serves, response_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One version, what for, and the share that its stage gives it."""

    role: str
    version: Ref
    stage: int = 0


def _asked(live: Live, experiment: Experiment | None) -> list[_Asked]:
    """Everybody who serves, or whom somebody is compared with; nobody twice."""
    placed = (("champion", live.champion), ("canary", live.canary))
    found = [_Asked(role=role, version=each.version, stage=each.stage) for role, each in placed if each is not None]
    found += [_Asked(role="shadow", version=each.version) for each in live.shadows]
    found += [] if live.previous is None else [_Asked(role="previous", version=live.previous.version)]
    found += [] if experiment is None else [_Asked(role="arm", version=each.version) for each in experiment.arms]
    return list({each.version.id: each for each in reversed(found)}.values())[::-1]


def _rows(
    strategy: str, asked: _Asked, forecasts: Forecasts, serves: NDArray[np.bool_], response_ms: float
) -> tuple[Served, pa.Table]:
    count = len(forecasts)
    constants = {
        "strategy": strategy,
        "version": forecasts.version.name,
        "role": asked.role,
        "stage": np.int32(asked.stage),
        "infer_lineage_id": forecasts.infer_lineage_id,
    }
    columns = {
        "session": pa.array(forecasts.sessions),
        "symbol": pa.array(forecasts.symbols.tolist()),
        "serves": pa.array(serves),
        "score": pa.array(forecasts.score),
        **{name: pa.repeat(value, count) for name, value in constants.items()},
    }
    rows = pa.table({name: columns[name] for name in PREDICTIONS.names}).cast(PREDICTIONS.arrow)
    served = Served(
        strategy=strategy,
        version=forecasts.version.name,
        role=asked.role,
        stage=asked.stage,
        symbols=count,
        serves=int(serves.sum()),
        infer_lineage_id=forecasts.infer_lineage_id,
        response_ms=round(response_ms, 3),
    )
    return served, rows
