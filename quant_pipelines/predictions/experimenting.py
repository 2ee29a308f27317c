"""A/B experiments on what serves: whose version counts for a symbol, and what each arm was worth (S2-102, S2-126)."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc

from quant_pipelines.arrays import SESSION, SYMBOL
from quant_pipelines.calendars import Session
from quant_pipelines.deployment import (
    Experiment,
    Live,
    Outcome,
    Ref,
    arms_of,
    create,
    decisions,
    ending,
    experiments,
    live_now,
    routes,
)
from quant_pipelines.errors import Conflict, OperatorActionRequired
from quant_pipelines.journal import Journal, Row
from quant_pipelines.lake import Lake, Window
from quant_pipelines.predictions.observing import joined_with_labels, number_or_none
from quant_pipelines.predictions.schema import PREDICTIONS, SCORE, VERSION
from quant_pipelines.validation import FEWEST_NAMES, block_correlations

MEASURE = "ic"


class ArmRefused(OperatorActionRequired):
    """An experiment that would let something serve that no decision lets."""

    code = "QP193"


class ExperimentRunning(Conflict):
    """One model serves in one experiment at a time."""

    code = "QP466"


def begin(journal: Journal, experiment: Experiment, *, actor: str) -> Row:
    """Begin an experiment on what serves. Its first arm is the champion; the others were decided for."""
    live = live_now(journal, experiment.model)
    first = experiment.arms[0]
    if live.champion is None or live.champion.version != first.version:
        serves = "nothing is" if live.champion is None else f"version {live.champion.version.number} is"
        raise ArmRefused(
            f"The first arm of {experiment.name} is version {first.version.number}, but {serves} the champion of "
            f"{experiment.model}. Begin with the champion: others are held against it."
        )
    allowed = {each.evidence.candidate.version_id for _, each in decisions(journal, experiment.model) if each.goes_live}
    strange = [each.name for each in experiment.arms[1:] if each.version.id not in allowed]
    if strange:
        raise ArmRefused(
            f"No decision lets {', '.join(strange)} of {experiment.name} go live. Judge those versions first."
        )
    other = running(journal, experiment.model, None)
    if other is not None and other.name != experiment.name:
        raise ExperimentRunning(f"{other.name} is running on {experiment.model}. Stop it first: `qp experiment stop`.")
    return create(journal, experiment, actor=actor)


def running(journal: Journal, model: str, session: Session | None) -> Experiment | None:
    """The experiment that a session belongs to; without a session, the one that was not stopped."""
    for each in reversed(experiments(journal, model)):
        stopped = ending(journal, each.name)
        if session is None:
            if stopped is None:
                return each
        elif each.since < session and (stopped is None or session <= stopped.session):
            return each
    return None


def serving(live: Live, experiment: Experiment | None, symbols: Sequence[str]) -> dict[str, Ref]:
    """The version that serves each symbol. An experiment divides the champion's share, never the canary's."""
    found = routes(live, symbols)
    if experiment is None or live.champion is None:
        return found
    versions = {each.name: each.version for each in experiment.arms}
    arms = arms_of(experiment, symbols)
    champion = live.champion.version
    return {each: versions[arms[each]] if version == champion else version for each, version in found.items()}


def outcomes(lake: Lake, experiment: Experiment, label_set: str, *, through: Session) -> list[Outcome]:
    """Each session's IC of every arm, over the symbols that it was given and that its labels know by now."""
    market = experiment.model.partition(".")[0]
    table = lake.stored(market, PREDICTIONS.name)
    if table is None or through <= experiment.since:
        return []
    window = Window(experiment.since, through)
    rows = table.read(window, columns=[SESSION, SYMBOL, VERSION, SCORE])
    found: dict[Session, dict[str, float | None]] = {}
    for arm in experiment.arms:
        mine = rows.filter(pc.equal(rows[VERSION], f"{experiment.model}/{arm.version.number}"))
        given = arms_of(experiment, mine[SYMBOL].unique().to_pylist())
        names = [symbol for symbol, name in given.items() if name == arm.name]
        mine = mine.filter(pc.is_in(mine[SYMBOL], pc.cast(names, "string")))
        joined = joined_with_labels(lake, market, mine, label_set, window)
        sessions, place = np.unique(joined[SESSION].to_numpy(), return_inverse=True)
        worth = block_correlations(
            joined[SCORE].to_numpy(), joined["value"].to_numpy(), place.astype(np.int64), fewest=FEWEST_NAMES
        )
        for session, value in zip(sessions, worth, strict=True):
            label: Session = session.astype("datetime64[us]").item()
            found.setdefault(label, {})[arm.name] = number_or_none(value)
    return [Outcome(session=session, values=found[session]) for session in sorted(found)]
