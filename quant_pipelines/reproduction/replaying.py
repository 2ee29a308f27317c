"""A replay: the training of a past run, done again from its configuration, with its measures side by side."""

from operator import attrgetter
from typing import Literal

from quant_pipelines.documents import Entry
from quant_pipelines.errors import OperatorActionRequired
from quant_pipelines.journal import Journal, Kind, Row
from quant_pipelines.registry import ModelStore, Version
from quant_pipelines.reproduction.checks import Check
from quant_pipelines.reproduction.retraining import Retrainer
from quant_pipelines.serving import stored_version


class UnknownRun(OperatorActionRequired):
    """No stored version was made by this run."""

    code = "QP148"


class Replay(Entry, frozen=True):
    """What was replayed and what came out. The version is the one whose bytes were loaded, whatever was asked for
    (S1-39)."""

    version: str
    version_id: str
    training_id: str
    snapshot_id: str
    tolerance: float
    differences: tuple[str, ...]
    checks: tuple[Check, ...]
    outcome: Literal["same", "different"]


REPLAY = Kind("replay", Replay)


def version_of_run(models: ModelStore, market: str, run_id: str | None) -> Version:
    """The version of a market that a run has made, named by its id in MLflow or by its training; the newest of all
    where no run is named. What is not found is never replaced by another one (S1-39)."""
    found = [each for name in models.models() if name.partition(".")[0] == market for each in models.versions(name)]
    if run_id is not None:
        found = [each for each in found if run_id in (each.run_id, each.training_id)]
    if not found:
        which = "that anything could be replayed of" if run_id is None else f"of run {run_id}"
        raise UnknownRun(
            f"{market} has no stored version {which}. `qp models list` shows what there is, and `qp models show` the "
            "run and the training of each."
        )
    return max(found, key=attrgetter("created_at", "number"))


def replay(models: ModelStore, retrainer: Retrainer, version: Version) -> Replay:
    """Train the version again, and compare its measures with those of its report (S1-30, S1-31)."""
    stored = stored_version(models, retrainer.snapshots, version)
    again = retrainer.again(stored)
    manifest = stored.manifest
    failed = any(each.outcome == "different" for each in again.checks)
    return Replay(
        version=f"{manifest.model}/{version.number}",
        version_id=manifest.digest,
        training_id=manifest.training_id,
        snapshot_id=manifest.snapshot_id,
        tolerance=again.tolerance,
        differences=again.differences,
        checks=again.checks,
        outcome="different" if failed else "same",
    )


def record_replay(journal: Journal, found: Replay, *, actor: str) -> Row:
    """Put a replay on record, whatever came out."""
    model = found.version.rpartition("/")[0]
    return journal.append(REPLAY.entry(found, subject=model, actor=actor))


def recorded_replays(journal: Journal, model: str) -> list[tuple[Row, Replay]]:
    """Every replay of a model's versions, with the row that keeps it."""
    return [(row, REPLAY.of(row)) for row in journal.rows(kind=REPLAY.name, subject=model)]
