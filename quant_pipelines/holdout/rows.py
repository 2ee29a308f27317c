"""The rows that a candidate is judged by: its own holdout, as far as the champion has not seen it either (X-18)."""

from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.calendars import Session
from quant_pipelines.evaluation.evidence import Status
from quant_pipelines.models import ModelSettings
from quant_pipelines.serving import Forecasts
from quant_pipelines.snapshots import Document, SnapshotArrays
from quant_pipelines.validation.holdout import LEAST_HOLDOUT

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Rows:
    """Samples of the candidate's snapshot by session and symbol, and each one's place among the champion's forecasts;
    or why there is nothing to judge by."""

    samples: Places
    answers: Places = field(default_factory=lambda: np.empty(0, np.int64))
    status: Status = "ok"
    reason: str = ""


def rows_of(arrays: SnapshotArrays, settings: ModelSettings, champion: Document | None) -> Rows:
    """The holdout's rows that the candidate can read, after everything that the champion learned from or chose by."""
    split = arrays.document.outcome.split
    if split is None or split.holdout is None:
        return _nothing("insufficient_observation", "The snapshot has no holdout." if split is None else split.reason)
    held = np.intersect1d(arrays.part("holdout"), arrays.sequences(settings.length).samples)
    if champion is None:
        return _enough(arrays, held, "insufficient_observation", "The candidate can read")
    if (question := _question(champion)) != _question(arrays.document):
        return _nothing("insufficient_observation", f"The champion answers another question, {question}.")
    unseen = arrays.axis[arrays.session[arrays.samples[held]]] > np.datetime64(_seen_until(champion), "us")
    return _enough(arrays, held[unseen], "champion_overlap", "Of the holdout the champion has not learned from")


def restricted(rows: Rows, arrays: SnapshotArrays, answers: Forecasts) -> Rows:
    """The rows for which the champion has a forecast too, in their order."""
    held = arrays.samples[rows.samples]
    mine = _keys(arrays.session[held], arrays.symbol_of(held), arrays)
    symbol = np.searchsorted(arrays.symbols, answers.symbols)
    known = arrays.symbols[np.minimum(symbol, arrays.symbols.size - 1)] == answers.symbols
    theirs = np.where(known, _keys(np.searchsorted(arrays.axis, answers.sessions), symbol, arrays), -1)
    order = np.argsort(theirs, kind="stable")
    place = np.minimum(np.searchsorted(theirs[order], mine), max(theirs.size - 1, 0))
    there = theirs[order][place] == mine
    told = "" if there.all() else f"{int((~there).sum())} rows that only the candidate can read are left out."
    found = _enough(arrays, rows.samples[there], "insufficient_observation", "Both can read")
    return replace(found, answers=order[place][there], reason=told) if found.status == "ok" else found


def ends(arrays: SnapshotArrays, samples: Places) -> tuple[Session, Session]:
    """The first and the last session of these samples."""
    sessions = arrays.session[arrays.samples[samples]]
    return cast("Session", arrays.axis[sessions.min()].item()), cast("Session", arrays.axis[sessions.max()].item())


def _enough(arrays: SnapshotArrays, samples: Places, otherwise: Status, told: str) -> Rows:
    sessions = np.unique(arrays.session[arrays.samples[samples]]).size
    if sessions >= LEAST_HOLDOUT:
        return Rows(samples=samples)
    return _nothing(otherwise, f"{told} {sessions} sessions; {LEAST_HOLDOUT} are the least.")


def _nothing(status: Status, reason: str) -> Rows:
    return Rows(samples=np.empty(0, np.int64), status=status, reason=reason)


def _question(document: Document) -> str:
    return "none" if document.recipe.labels is None else document.recipe.labels.label_set


def _seen_until(champion: Document) -> Session:
    """The last session of which the champion knows anything: that in which the last label it chose by resolves."""
    split, labels, axis = champion.outcome.split, champion.recipe.labels, champion.recipe.axis
    if split is None or split.validation is None or labels is None:
        return champion.recipe.cutoff
    return axis[min(axis.index(split.validation.last) + labels.span_sessions, len(axis) - 1)]


def _keys(session: NDArray[np.integer], symbol: Places, arrays: SnapshotArrays) -> Places:
    return session.astype(np.int64) * arrays.symbols.size + symbol
