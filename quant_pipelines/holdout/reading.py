"""Reads a holdout: from two versions to evidence. What happened before is told to it, and nothing is put on record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.calendars import Session
from quant_pipelines.evaluation.bootstrap import Resampling
from quant_pipelines.evaluation.comparing import Scored, compared
from quant_pipelines.evaluation.direction import SIGN, Edges
from quant_pipelines.evaluation.evidence import Estimate, Evidence, Seen
from quant_pipelines.evaluation.metrics import Judged
from quant_pipelines.holdout.exchange import Exchange
from quant_pipelines.holdout.reads import Looks
from quant_pipelines.holdout.rows import Rows, ends, restricted, rows_of
from quant_pipelines.holdout.trades import Trades, benchmarks_on, measures_of, traded_on
from quant_pipelines.labels import LABEL_SETS
from quant_pipelines.models import ONE_THREAD, Machine
from quant_pipelines.serving import Forecasts, Stored, inputs_of
from quant_pipelines.snapshots import LabelArrays, SnapshotArrays, SnapshotStore, load
from quant_pipelines.training.data import target_of

# One for all candidates: drawn anew for each it would be another thing to be lucky with.
_SEED = 0
# What a champion says of the sessions from the first to the last.
Answers = Callable[[Stored, Session, Session], Forecasts]


@dataclass(frozen=True, eq=False, kw_only=True)
class Examination:
    """The evidence, how often these sessions have been read by now, and what each model's scores would have earned."""

    evidence: Evidence
    times_read: int = 0
    candidate: Trades | None = None
    champion: Trades | None = None
    benchmarks: Mapping[str, Trades] = field(default_factory=dict[str, Trades])


@dataclass(frozen=True, eq=False, kw_only=True)
class Pair:
    """A candidate, whom it is compared with, and the rows that neither has seen."""

    mine: Stored
    theirs: Stored | None
    arrays: SnapshotArrays
    rows: Rows

    @property
    def ends(self) -> tuple[Session, Session]:
        """The first and the last session of the rows."""
        return ends(self.arrays, self.rows.samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What chances luck has had: looks at these sessions, where there are any to look at, and trainings begun."""

    looks: Looks | None
    trials: int
    incremental: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Reader:
    """Reads holdouts. Equal versions, prices and chances before give equal evidence."""

    store: SnapshotStore
    exchange: Exchange
    answers: Answers
    machine: Machine = ONE_THREAD

    def pair(self, mine: Stored, theirs: Stored | None) -> Pair:
        """The two, and the rows that they can be judged by; nothing is read from these yet."""
        arrays = load(self.store, mine.document)
        rows = rows_of(arrays, mine.model.settings, None if theirs is None else theirs.document)
        return Pair(mine=mine, theirs=theirs, arrays=arrays, rows=rows)

    def read(self, pair: Pair, before: Before) -> Examination:
        """What each of the two is worth on the rows."""
        rows, answers = pair.rows, None
        if rows.status == "ok" and pair.theirs is not None:
            answers = self.answers(pair.theirs, *pair.ends)
            rows = restricted(rows, pair.arrays, answers)
        evidence = _evidence(pair, rows, before)
        times = 0 if before.looks is None else before.looks.times
        if rows.status != "ok":
            return Examination(evidence=evidence, times_read=times)
        return self._examined(evidence, times, _Read(self, pair.mine, pair.theirs, pair.arrays, rows, answers))

    def _examined(self, evidence: Evidence, times: int, read: "_Read") -> Examination:
        candidate, champion, gains, ratio = compared(read.mine_scored, read.theirs_scored, read.resampling, read.edges)
        quotes = self.exchange.quotes(*ends(read.arrays, read.rows.samples))
        traded = [
            None
            if each is None
            else traded_on(self.exchange, quotes, quotes.scores(*read.keys, each.judged.score), read.resampling)
            for each in (read.mine_scored, read.theirs_scored)
        ]
        found = evidence.model_copy(
            update={
                "candidate": _with(candidate, traded[0], evidence.trials),
                "champion": None if champion is None else _with(champion, traded[1], evidence.trials),
                "gains": gains,
                "mse_ratio": ratio,
                "data": {**read.lineage, "prices": quotes.data_version},
            }
        )
        return Examination(
            evidence=found,
            times_read=times,
            candidate=traded[0],
            champion=traded[1],
            benchmarks=benchmarks_on(self.exchange, quotes, read.resampling),
        )


@dataclass(frozen=True, eq=False)
class _Read:
    """What both models forecast on the rows."""

    reader: Reader
    mine: Stored
    theirs: Stored | None
    arrays: SnapshotArrays
    rows: Rows
    answers: Forecasts | None

    @property
    def labels(self) -> LabelArrays:
        labels = self.arrays.labels
        if labels is None:
            raise ValueError("An inference has no labels, and no holdout either.")
        return labels

    @property
    def keys(self) -> tuple[NDArray[np.datetime64], NDArray[np.str_]]:
        """Session and symbol of each row."""
        rows = self.arrays.samples[self.rows.samples]
        return self.arrays.axis[self.arrays.session[rows]], self.arrays.symbols[self.arrays.symbol_of(rows)]

    @cached_property
    def mine_scored(self) -> Scored:
        inputs = inputs_of(self.arrays, self.mine.model.settings, self.rows.samples)
        return self._scored(self.mine, self.mine.model.predict(inputs, self.reader.machine))

    @cached_property
    def theirs_scored(self) -> Scored | None:
        if self.theirs is None or self.answers is None:
            return None
        return self._scored(self.theirs, self.answers.predictions[self.rows.answers])

    @property
    def resampling(self) -> Resampling:
        labels = self.mine.document.recipe.labels
        return Resampling(seed=_SEED, span_sessions=1 if labels is None else labels.span_sessions)

    @property
    def edges(self) -> Edges:
        return LABEL_SETS[self.mine.manifest.label_set].classes or SIGN

    @property
    def lineage(self) -> dict[str, str]:
        """From which frozen bytes each model read."""
        champion = {} if self.answers is None else {"champion": self.answers.infer_lineage_id}
        return {"candidate": self.mine.document.id, **champion}

    def _scored(self, stored: Stored, predictions: NDArray[Any]) -> Scored:
        rows = self.arrays.samples[self.rows.samples]
        judged = Judged(
            task=stored.model.settings.task,
            predictions=predictions,
            target=target_of(self.labels, stored.model.settings.task, self.rows.samples),
            value=self.labels.value[self.rows.samples],
            sessions=self.arrays.session[rows].astype(np.int64),
        )
        return Scored(version=stored.version.name, version_id=stored.version.id, judged=judged)


def _evidence(pair: Pair, rows: Rows, before: Before) -> Evidence:
    """Everything but what the models are worth."""
    recipe, arrays = pair.mine.document.recipe, pair.arrays
    first, last = ends(arrays, rows.samples) if rows.samples.size else (None, None)
    return Evidence(
        market=recipe.market,
        strategy=recipe.strategy,
        snapshot_id=pair.mine.document.id,
        cutoff=recipe.cutoff,
        status=rows.status,
        reason=rows.reason,
        rows=int(rows.samples.size),
        sessions=int(np.unique(arrays.session[arrays.samples[rows.samples]]).size),
        first_session=first,
        last_session=last,
        candidate=_unseen(pair.mine),
        champion=None if pair.theirs is None else _unseen(pair.theirs),
        reads=0 if before.looks is None else before.looks.others,
        trials=before.trials,
        incremental=before.incremental,
    )


def _unseen(stored: Stored) -> Seen:
    """A model of which nothing was measured."""
    return Seen(version=stored.version.name, version_id=stored.version.id, measures={}, shares={}, distinct=0)


def _with(seen: Seen, trades: Trades | None, trials: int) -> Seen:
    money: dict[str, Estimate] = {} if trades is None else measures_of(trades, trials=trials)
    return seen.model_copy(update={"measures": {**seen.measures, **money}})
