"""A/B experiments: versions side by side on shares of the universe, and a test that may be looked at every day.

Sessions follow one another, so their gains are averaged over blocks, and the blocks are tested. The test is the
t-statistic's mixture likelihood ratio (Lai 1976; Lindon, Ham, Tingley and Bojinov 2022; Wang and Ramdas 2024): for
independent normal blocks the chance that it ever passes 1 / alpha, where there is no difference, is alpha at most,
however often one looks. What blocks still share is taken into account by their first autocorrelation, which only ever
widens the interval.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from quant_pipelines.calendars import Session
from quant_pipelines.deployment.failures import BadExperiment, ExperimentEnded, UnknownExperiment
from quant_pipelines.deployment.live import Ref
from quant_pipelines.deployment.routing import assigned
from quant_pipelines.documents import Entry
from quant_pipelines.journal import Journal, KeyTaken, Kind, Row

Finding = Literal["better", "worse", "undecided", "insufficient_observation"]
FEWEST_BLOCKS = 4
_FEWEST_ARMS = 2
_SHARES_OFF = 1e-9
# The one-sided quantile of the normal distribution for a power of 0.8.
_POWER, _POWER_Z = 0.8, 0.8416212335729143
_MOST_SHARED = 0.9


class Arm(Entry, frozen=True):
    """One version, and its share of the universe."""

    name: str
    version: Ref
    share: Annotated[float, Field(gt=0, lt=1)]


class Experiment(Entry, frozen=True):
    """What is compared: the first arm is the one that the others are held against.

    `measure` is a number for each session, higher is better. `block_sessions` have to be longer than a session's
    luck lasts. `planned_sessions` is where the interval is narrowest; one may look before and after.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,99}$")]
    model: str
    arms: Annotated[tuple[Arm, ...], Field(min_length=_FEWEST_ARMS)]
    measure: str
    since: Session
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    block_sessions: Annotated[int, Field(ge=1)] = 10
    planned_sessions: Annotated[int, Field(ge=FEWEST_BLOCKS)] = 250

    @model_validator(mode="after")
    def _fits_together(self) -> "Experiment":
        names = [each.name for each in self.arms]
        if len(set(names)) < len(names):
            raise ValueError(f"the arms {names} do not all have names of their own")
        total = math.fsum(each.share for each in self.arms)
        if abs(total - 1) > _SHARES_OFF:
            raise ValueError(f"the arms' shares add up to {total:.6g}, not to 1")
        if self.planned_sessions < FEWEST_BLOCKS * self.block_sessions:
            least = FEWEST_BLOCKS * self.block_sessions
            raise ValueError(f"{self.planned_sessions} planned sessions are less than {FEWEST_BLOCKS} blocks: {least}")
        return self

    @property
    def shares(self) -> dict[str, float]:
        return {each.name: each.share for each in self.arms}

    @property
    def salt(self) -> str:
        """Other experiments, and rollouts, draw other symbols."""
        return f"experiment {self.model} {self.name}"


class Stopped(Entry, frozen=True):
    """The end of an experiment."""

    name: str
    session: Session
    reason: str


class Outcome(Entry, frozen=True):
    """One session: the measure of each arm by name; null where it could not be had."""

    session: Session
    values: dict[str, float | None]


class Comparison(Entry, frozen=True):
    """One arm against the first: the mean gain of a session, and where it lies at every look with 1 - alpha.

    `smallest_detectable` is the gain that the planned number of sessions would show with a power of 0.8, as noisy as
    sessions are.
    """

    arm: str
    finding: Finding
    sessions: int
    blocks: int
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    smallest_detectable: float | None = None


class Results(Entry, frozen=True):
    """An experiment as it stands: what was found, whether it goes on, and in a sentence what it means."""

    experiment: Experiment
    stopped: Stopped | None
    comparisons: tuple[Comparison, ...]
    text: str


EXPERIMENT_CREATED = Kind("experiment_created", Experiment)
STOPPED = Kind("experiment_stopped", Stopped)


def create(journal: Journal, experiment: Experiment, *, actor: str) -> Row:
    """Begin an experiment. Beginning it again changes nothing; another one of its name is refused."""
    entry = EXPERIMENT_CREATED.entry(experiment, subject=experiment.model, actor=actor)
    try:
        return journal.append_once(_created_key(experiment.name), entry)
    except KeyTaken as error:
        raise BadExperiment(f"There is another experiment {experiment.name!r}. Give this one its own name.") from error


def stop(journal: Journal, name: str, *, session: Session, reason: str, actor: str) -> Row:
    """End an experiment; what it found stays."""
    experiment = find(journal, name)
    value = Stopped(name=name, session=session, reason=reason)
    try:
        return journal.append_once(_stopped_key(name), STOPPED.entry(value, subject=experiment.model, actor=actor))
    except KeyTaken as error:
        raise ExperimentEnded(
            f"Experiment {name!r} was stopped already, for another reason. See its results."
        ) from error


def find(journal: Journal, name: str) -> Experiment:
    row = journal.with_key(_created_key(name))
    if row is None:
        known = ", ".join(each.name for each in experiments(journal)) or "none"
        raise UnknownExperiment(f"There is no experiment {name!r}. There are: {known}.")
    return EXPERIMENT_CREATED.of(row)


def experiments(journal: Journal, model: str | None = None) -> list[Experiment]:
    """Every experiment, the oldest first."""
    return [EXPERIMENT_CREATED.of(row) for row in journal.rows(kind=EXPERIMENT_CREATED.name, subject=model)]


def ending(journal: Journal, name: str) -> Stopped | None:
    """How the experiment was stopped; None where it goes on."""
    row = journal.with_key(_stopped_key(name))
    return None if row is None else STOPPED.of(row)


def arms_of(experiment: Experiment, symbols: Sequence[str]) -> dict[str, str]:
    """The arm of each symbol: the same in every session."""
    places = assigned(experiment.salt, symbols, experiment.shares)
    return {symbol: experiment.arms[place].name for symbol, place in zip(symbols, places.tolist(), strict=True)}


def results(experiment: Experiment, outcomes: Sequence[Outcome], stopped: Stopped | None = None) -> Results:
    """What the sessions so far say. One may look after every session: that costs nothing."""
    others = experiment.arms[1:]
    # Several comparisons share the chance of being wrong.
    alpha = experiment.alpha / len(others)
    compared = tuple(_compared(experiment, each.name, alpha, _used(experiment, outcomes, stopped)) for each in others)
    told = " ".join(_told(each, experiment) for each in compared)
    return Results(experiment=experiment, stopped=stopped, comparisons=compared, text=told)


def interval(blocks: NDArray[np.float64], *, alpha: float, planned: int) -> tuple[float, float, float]:
    """The mean of the blocks' gains, with an interval that holds at every look; `planned` blocks make it narrowest."""
    mean = float(blocks.mean())
    half = half_width(len(blocks), _spread(blocks), alpha=alpha, planned=planned)
    return mean, mean - half, mean + half


def half_width(count: int, spread: float, *, alpha: float, planned: int) -> float:
    """Half the interval's width after so many blocks with this standard deviation; infinite where they are too few."""
    prior = _prior(alpha, planned)
    shrunk = prior / (prior + count)
    # The likelihood ratio is 1 / alpha where t^2 / (count - 1) is x: ((1 + x) / (1 + shrunk * x))^(count / 2)
    # times sqrt(shrunk). Solved in logarithms: the powers overflow for a small alpha.
    growth, most = (2 * math.log(1 / alpha) - math.log(shrunk)) / count, -math.log(shrunk)
    if count < FEWEST_BLOCKS or growth >= most:
        return math.inf
    x = math.expm1(growth) / -math.expm1(growth - most)
    return spread * math.sqrt(x * (count - 1) / count)


def _prior(alpha: float, planned: int) -> float:
    """How many blocks the mixture counts for: the number that makes the interval narrowest when `planned` are there."""
    wanted = -2 * math.log(alpha)
    return planned / (wanted + math.log(wanted + 1))


def _spread(blocks: NDArray[np.float64]) -> float:
    """The blocks' standard deviation, widened by what neighbours share."""
    centred = blocks - blocks.mean()
    total = float(centred @ centred)
    if total == 0:
        return 0.0
    shared = min(max(float(centred[1:] @ centred[:-1]) / total, 0.0), _MOST_SHARED)
    return math.sqrt(total / (len(blocks) - 1) * (1 + shared) / (1 - shared))


def _used(experiment: Experiment, outcomes: Sequence[Outcome], stopped: Stopped | None) -> list[Outcome]:
    """Of the experiment's own time, one for each session, in order."""
    last = None if stopped is None else stopped.session
    chosen = [each for each in outcomes if each.session > experiment.since and (last is None or each.session <= last)]
    return [each for _, each in sorted({each.session: each for each in chosen}.items())]


def _compared(experiment: Experiment, arm: str, alpha: float, outcomes: Sequence[Outcome]) -> Comparison:
    gains = _gains(experiment.arms[0].name, arm, outcomes)
    size = experiment.block_sessions
    whole = len(gains) // size
    if whole < FEWEST_BLOCKS:
        return Comparison(arm=arm, finding="insufficient_observation", sessions=len(gains), blocks=whole)
    blocks = gains[: whole * size].reshape(whole, size).mean(axis=1)
    planned = max(experiment.planned_sessions // size, FEWEST_BLOCKS)
    mean, low, high = interval(blocks, alpha=alpha, planned=planned)
    spread = _spread(blocks)
    detectable = half_width(planned, spread, alpha=alpha, planned=planned) + _POWER_Z * spread / math.sqrt(planned)
    known = math.isfinite(low)
    return Comparison(
        arm=arm,
        finding="better" if low > 0 else "worse" if high < 0 else "undecided",
        sessions=len(gains),
        blocks=whole,
        gain=mean,
        low=low if known else None,
        high=high if known else None,
        smallest_detectable=detectable if math.isfinite(detectable) else None,
    )


def _gains(first: str, arm: str, outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
    """The sessions' gains, of those that know both numbers."""
    found: list[float] = []
    for each in outcomes:
        one, other = each.values.get(first), each.values.get(arm)
        if one is not None and other is not None and math.isfinite(other - one):
            found.append(other - one)
    return np.array(found, np.float64)


def _told(each: Comparison, experiment: Experiment) -> str:
    first = experiment.arms[0].name
    if each.finding == "insufficient_observation":
        least = FEWEST_BLOCKS * experiment.block_sessions
        return f"{each.arm}: {each.sessions} sessions are too few to compare it with {first}; {least} are needed."
    found = {
        "better": f"is better than {first}",
        "worse": f"is worse than {first}",
        "undecided": f"and {first} cannot be told apart yet",
    }[each.finding]
    detectable = ""
    if each.smallest_detectable is not None:
        detectable = (
            f" {experiment.planned_sessions} sessions show a gain of {each.smallest_detectable:.4g} or more "
            f"in {_POWER:.0%} of all experiments."
        )
    return (
        f"{each.arm} {found}: {each.gain:.4g} in {experiment.measure} per session, after {each.sessions}.{detectable}"
    )


def _created_key(name: str) -> str:
    return f"experiment:{name}"


def _stopped_key(name: str) -> str:
    return f"experiment_stopped:{name}"
