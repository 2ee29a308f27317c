"""Forecasts of a stored version for the sessions that it is asked about."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.calendars import Session, session_key
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.models import ONE_THREAD, Machine
from quant_pipelines.registry import ModelCache, ModelStore, Version, settings_of
from quant_pipelines.serving.reading import Stored, inputs_of, misfits, with_snapshot
from quant_pipelines.snapshots import SnapshotArrays, SnapshotBuilder, load


class VersionUnreadable(OperatorActionRequired):
    """A version cannot read what it is asked about."""

    code = "QP176"


class NothingToForecast(OperatorActionRequired):
    """No symbol of the universe has enough sessions before the one that is asked about."""

    code = "QP177"


@dataclass(frozen=True, eq=False, kw_only=True)
class Forecasts:
    """One row per session and symbol, in that order. `score` ranks; `predictions` are the model's outputs.

    `short` counts rows of the universe with too few sessions before them: nobody made up what they lack.
    """

    version: Version
    infer_lineage_id: str
    sessions: NDArray[np.datetime64]
    symbols: NDArray[np.str_]
    predictions: NDArray[np.float32]
    score: NDArray[np.float64]
    short: int

    def __len__(self) -> int:
        return int(self.score.size)


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictor:
    """Asks stored versions. Each gives its forecasts from the features, scale and window it was trained with."""

    models: ModelStore
    builder: SnapshotBuilder
    machine: Machine = ONE_THREAD

    def forecast(self, model: str, which: int | str, session: Session, *, first: Session | None = None) -> Forecasts:
        """What the version says of a session, or of all from the first to it, and which inference it says so from.

        Without the version there is an error, never another model's word (S1-75).
        """
        return self.answer(self.loaded(model, which), session, first=first)

    def loaded(self, model: str, which: int | str) -> Stored:
        """The version, verified and ready to be asked: once, however many sessions it is asked about (S0-17)."""
        return with_snapshot(self._cache.load(model, which), self.builder.store)

    @cached_property
    def _cache(self) -> ModelCache:
        return ModelCache(self.models)

    def answer(self, stored: Stored, session: Session, *, first: Session | None = None) -> Forecasts:
        """What a version that is loaded says: its inference is frozen, then it forecasts."""
        asked = self.builder.infer(stored.document, session, first=first).document
        return answers(stored, load(self.builder.store, asked), self.machine)


def answers(stored: Stored, arrays: SnapshotArrays, machine: Machine = ONE_THREAD) -> Forecasts:
    """What the version says of an inference that was made for it."""
    asked, settings = arrays.document, settings_of(stored.manifest)
    problems = misfits(stored.manifest, asked)
    if problems:
        raise VersionUnreadable(
            f"{stored.version.name} cannot read inference {asked.id[:16]}: {'; '.join(problems)}. Train it again, or "
            "restore the definitions that it learned from."
        )
    readable = arrays.sequences(settings.length)
    if not len(readable):
        raise NothingToForecast(
            f"None of the {arrays.samples.size} symbols that {stored.version.name} is asked about has the "
            f"{settings.length} sessions up to {session_key(asked.recipe.cutoff)} that it reads."
        )
    # By session and symbol: the block has them by symbol.
    rows = arrays.samples[readable.samples]
    ordered = readable.samples[np.lexsort((rows, arrays.session[rows]))]
    predictions = stored.model.predict(inputs_of(arrays, settings, ordered), machine)
    rows = arrays.samples[ordered]
    return Forecasts(
        version=stored.version,
        infer_lineage_id=asked.id,
        sessions=arrays.axis[arrays.session[rows]],
        symbols=arrays.symbols[arrays.symbol_of(rows)],
        predictions=predictions,
        score=settings.task.signal(predictions),
        short=int(readable.short.size),
    )
