"""Candidate and champion on rows that neither has seen: every look is put on record before it is taken."""

from dataclasses import dataclass

from quant_pipelines.calendars import Session
from quant_pipelines.holdout.exchange import Exchange
from quant_pipelines.holdout.reading import Before, Examination, Pair, Reader
from quant_pipelines.holdout.reads import Look, look
from quant_pipelines.journal import Journal
from quant_pipelines.models import ONE_THREAD, Machine
from quant_pipelines.registry import ModelStore, Version
from quant_pipelines.serving import Forecasts, Predictor, Stored, stored_version
from quant_pipelines.snapshots import SnapshotBuilder
from quant_pipelines.training import Ledger


@dataclass(frozen=True, eq=False, kw_only=True)
class Examiner:
    """Judges versions of one market's strategies. Whatever it looks at, it puts on record before."""

    models: ModelStore
    builder: SnapshotBuilder
    exchange: Exchange
    journal: Journal
    actor: str
    machine: Machine = ONE_THREAD

    def examine(self, candidate: Version, champion: Version | None, *, incremental: bool = False) -> Examination:
        """The candidate's holdout, read by it and by the champion on identical rows."""
        store = self.builder.store
        reader = Reader(store=store, exchange=self.exchange, answers=self._answers, machine=self.machine)
        theirs = None if champion is None else stored_version(self.models, store, champion)
        pair = reader.pair(stored_version(self.models, store, candidate), theirs)
        looks = None
        if pair.rows.status == "ok":
            looks = look(self.journal, candidate.model, _look(pair), actor=self.actor)
        trials = Ledger(self.journal, self.actor).count(candidate.model).begun
        return reader.read(pair, Before(looks=looks, trials=trials, incremental=incremental))

    def _answers(self, champion: Stored, first: Session, last: Session) -> Forecasts:
        """From an inference of its own, frozen now where it was not before."""
        predictor = Predictor(models=self.models, builder=self.builder, machine=self.machine)
        return predictor.forecast(champion.version.model, champion.version.number, last, first=first)


def _look(pair: Pair) -> Look:
    first, last = pair.ends
    return Look(
        training_id=pair.mine.version.training_id,
        snapshot_id=pair.mine.document.id,
        first=first,
        last=last,
        champion=None if pair.theirs is None else pair.theirs.version.name,
    )
