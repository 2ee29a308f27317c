"""A strategy's past as a replay reads it: decisions on record, what stored versions say of the sessions after them, and
what came.

Nothing is written but the inferences that the versions are asked about.
"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session, session_key
from quant_pipelines.deployment import Ref, decisions
from quant_pipelines.deployment.failures import BadHistory
from quant_pipelines.deployment.replay import Candidate, History
from quant_pipelines.errors import OperatorActionRequired, StoreDamaged
from quant_pipelines.evaluation.evidence import Evidence
from quant_pipelines.evaluation.trading import Book, weights
from quant_pipelines.holdout.trades import QUANTILE
from quant_pipelines.journal import Journal
from quant_pipelines.label_tables import LABELS
from quant_pipelines.labels import LABEL_SETS
from quant_pipelines.lake import Lake, Window
from quant_pipelines.markets import Market
from quant_pipelines.predictions.observing import realised_by
from quant_pipelines.predictions.schema import SCORE
from quant_pipelines.serving import Predictor
from quant_pipelines.strategies import Strategy
from quant_pipelines.validation import FEWEST_NAMES, block_correlations

Vector = NDArray[np.float64]
IC, LONG_SHORT = "ic", "long_short"
_VALUE = "value"
_BOOK = Book(quantile=QUANTILE, short=True)


@dataclass(frozen=True, kw_only=True)
class Records:
    """Where a market's past lies."""

    market: Market
    lake: Lake
    journal: Journal
    predictor: Predictor


@dataclass(frozen=True, eq=False, kw_only=True)
class Past:
    """What there was to choose from. `silent` says which versions could not be asked any more, and why."""

    history: History
    silent: tuple[str, ...]


def past_of(records: Records, strategy: Strategy, window: Window) -> Past:
    """Every version that was judged in these sessions, with its numbers of the sessions after its own last one.

    Per session the IC, and what half of the money long in the best fifth and half short in the worst would have
    brought by the label's return, before costs.
    """
    model = f"{records.market.name}.{strategy.name}"
    sessions = tuple(records.market.sessions_calendar.sessions(window.first, window.last))
    candidates = judged_in(records.journal, model, window)
    if not candidates:
        raise BadHistory(
            f"No decision about {model} from {session_key(window.first)} to {session_key(window.last)} is on record. "
            "Name other sessions, or train and decide first."
        )
    came = _came(records, strategy, window)
    results: dict[str, dict[str, Vector]] = {IC: {}, LONG_SHORT: {}}
    silent: list[str] = []
    for each in candidates:
        try:
            found = _results(records, model, each, sessions, came)
        except (OperatorActionRequired, StoreDamaged) as error:
            silent.append(f"{model}/{each.version.number}: {error}")
            found = {name: np.full(len(sessions), np.nan) for name in results}
        for name, values in found.items():
            results[name][each.version.id] = values
    history = History(
        model=model,
        sessions=sessions,
        candidates=candidates,
        results=results,
        watched=IC,
        lag_sessions=LABEL_SETS[strategy.label_set].span_sessions,
    )
    return Past(history=history, silent=tuple(silent))


def judged_in(journal: Journal, model: str, window: Window) -> tuple[Candidate, ...]:
    """The versions whose last session lies in the window, with the newest evidence against each champion."""
    found: dict[str, dict[str | None, Evidence]] = {}
    for _, decision in decisions(journal, model):
        evidence = decision.evidence
        if window.first <= evidence.cutoff <= window.last:
            champion = None if evidence.champion is None else evidence.champion.version_id
            found.setdefault(evidence.candidate.version_id, {})[champion] = evidence
    candidates = [_candidate(list(each.values())) for each in found.values()]
    return tuple(sorted(candidates, key=lambda each: each.session))


def _candidate(seen: Sequence[Evidence]) -> Candidate:
    version = seen[0].candidate
    number = int(version.version.rpartition("/")[2])
    return Candidate(version=Ref(number=number, id=version.version_id), session=seen[0].cutoff, seen=tuple(seen))


def _came(records: Records, strategy: Strategy, window: Window) -> pa.Table:
    labels = records.lake.stored(records.market.name, LABELS.name)
    if labels is None:
        raise BadHistory(f"{records.market.name} has no table of labels. Publish them first: `qp compile` or Dagster.")
    return realised_by(labels.read(window), strategy.label_set, window.last)


def _results(
    records: Records, model: str, candidate: Candidate, sessions: Sequence[Session], came: pa.Table
) -> dict[str, Vector]:
    later = [each for each in sessions if each > candidate.session]
    blank = {name: np.full(len(sessions), np.nan) for name in (IC, LONG_SHORT)}
    if not later:
        return blank
    number = candidate.version.number
    stored = records.predictor.models.version(model, number)
    if stored.id != candidate.version.id:
        raise BadHistory(f"It is another version than the one that was judged, {candidate.version.id[:16]}.")
    told = records.predictor.forecast(model, number, later[-1], first=later[0])
    scores = pa.table(
        {SESSION: pa.array(told.sessions.astype("datetime64[us]")), SYMBOL: told.symbols.tolist(), SCORE: told.score}
    )
    rows = scores.join(came, [SESSION, SYMBOL], join_type="inner")
    rows = rows.sort_by([(SESSION, "ascending"), (SYMBOL, "ascending")])
    if not rows.num_rows:
        return blank
    known, found = by_session(rows)
    at = np.searchsorted(np.array(sessions, "datetime64[us]"), known)
    for name, values in found.items():
        blank[name][at] = values
    return blank


def by_session(rows: pa.Table) -> tuple[NDArray[np.datetime64], dict[str, Vector]]:
    """The sessions of scores and returns, and both measures of each."""
    sessions, at = np.unique(rows[SESSION].to_numpy(), return_inverse=True)
    symbols, who = np.unique(rows[SYMBOL].to_numpy(), return_inverse=True)
    score, value = rows[SCORE].to_numpy(), rows[_VALUE].to_numpy().astype(np.float64)
    scores = np.full((sessions.size, symbols.size), np.nan)
    values = np.zeros(scores.shape)
    scores[at, who], values[at, who] = score, value
    names = np.isfinite(scores).sum(axis=1)
    brought = (weights(scores, _BOOK) * values).sum(axis=1)
    return sessions, {
        IC: block_correlations(score, value, at.astype(np.int64), fewest=FEWEST_NAMES),
        LONG_SHORT: np.where(names >= FEWEST_NAMES, brought, np.nan),
    }
