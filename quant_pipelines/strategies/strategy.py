"""A strategy: everything that makes a model of a market's data, as one frozen value."""

from calendar import monthrange
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from quant_pipelines.calendars import Calendar, Session
from quant_pipelines.digest import digest_json
from quant_pipelines.documents import Entry
from quant_pipelines.features.registry import Feature, FeatureRegistry, FeatureSet
from quant_pipelines.models import DEFAULT, ModelSpec, Value, kind_named, spec_named
from quant_pipelines.strategies.policies import Deployment, Retrain

_MONTHS = 12


class Choice(Entry, frozen=True):
    """Which of the market's symbols: all of them, some by name, or the members of an index of the universe file.

    Members are looked up by date: a symbol counts on the sessions on which it belonged.
    """

    symbols: tuple[str, ...] | None = None
    index: str | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Choice":
        if self.symbols is not None and self.index is not None:
            raise ValueError("'symbols' and 'index' are both there; keep the one that is meant")
        if self.symbols is not None and (not self.symbols or len(set(self.symbols)) < len(self.symbols)):
            raise ValueError("symbols must name at least one, and each once")
        return self


class Fallback(Entry, frozen=True):
    """A kind of model, and its hyper-parameters over those of a preset."""

    kind: str
    preset: str = DEFAULT
    hyperparameters: dict[str, Value] = Field(default_factory=dict)


class Model(Fallback, frozen=True):
    """The kind that is trained, and the one that is trained instead where it diverges or memory runs out (S2-110)."""

    fallback: Fallback | None = None

    @model_validator(mode="after")
    def _sees_enough(self) -> "Model":
        seen, wanted = _sessions(self), None if self.fallback is None else _sessions(self.fallback)
        if seen is not None and wanted is not None and wanted > seen:
            raise ValueError(
                f"the fallback sees {wanted} sessions, but a snapshot for {self.kind} has {seen}; "
                "name one that sees no more"
            )
        return self


class TrainingWindow(Entry, frozen=True):
    """How far back from the cutoff signals are taken: so many years, months or sessions."""

    years: PositiveInt | None = None
    months: PositiveInt | None = None
    sessions: PositiveInt | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> "TrainingWindow":
        given = [name for name, value in (self.model_dump()).items() if value is not None]
        if len(given) != 1:
            found = " and ".join(given) or "nothing"
            raise ValueError(f"found {found}; give one of years, months and sessions")
        return self

    def of(self, cutoff: Session, calendar: Calendar, *, earliest: Session) -> list[Session]:
        """The sessions of the window that ends with the cutoff, none before the earliest."""
        if self.sessions is not None:
            return calendar.sessions(earliest, cutoff)[-self.sessions :]
        after = _months_before(cutoff, self.months or _MONTHS * (self.years or 0))
        return [each for each in calendar.sessions(max(after, earliest), cutoff) if each > after]


class Training(Entry, frozen=True):
    """What is learned from: the window, and which of its rows.

    `validation_share` is that of the sessions before the holdout. `untradable` rows are those whose signal could not
    have been bought at the next open. Newer rows weigh more where `half_life_sessions` is given; rows that share their
    label's sessions weigh less where `weigh_uniqueness`.
    """

    window: TrainingWindow
    mode: Literal["improved", "complete", "fast"] = "improved"
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    untradable: Literal["leave_out", "keep"] = "leave_out"
    half_life_sessions: PositiveFloat | None = None
    weigh_uniqueness: bool = False


class Normalisation(Entry, frozen=True):
    """How features are scaled; fitted on the training part alone.

    `standard`: mean and standard deviation. `robust`: median, and 1.4826 times the median distance from it.
    `clip` bounds what was scaled. `missing` values are kept as NaN, or put to the centre.
    """

    kind: Literal["none", "standard", "robust"] = "none"
    clip: PositiveFloat | None = None
    missing: Literal["keep", "centre"] = "keep"

    @model_validator(mode="after")
    def _fits_together(self) -> "Normalisation":
        if self.kind == "none" and (self.clip is not None or self.missing == "centre"):
            raise ValueError("clip and centre need a kind that scales: standard or robust")
        return self


class Strategy(Entry, frozen=True):
    """One strategy; a `for_each` entry of strategies.yaml makes many."""

    name: str
    description: str
    market: str
    universe: Choice = Choice()
    features: Annotated[tuple[str, ...], Field(min_length=1)]
    label_set: str
    model: Model
    training: Training
    normalisation: Normalisation = Normalisation()
    retrain: Retrain = Retrain()
    deployment: Deployment = Deployment()
    owner: str = "team:quant"

    @property
    def kind(self) -> ModelSpec:
        return spec_named(self.model.kind)

    @property
    def parameters(self) -> dict[str, Value]:
        """Every hyper-parameter with the value that counts."""
        return self.kind.parameters(self.model.preset, self.model.hyperparameters)

    @property
    def sequence_sessions(self) -> int:
        """How many sessions one prediction sees, its own included."""
        return self.kind.sessions(self.parameters)

    @property
    def ladder(self) -> tuple[int, ...]:
        return self.deployment.ladder or self.kind.ladder

    @property
    def rollout_policy(self) -> Deployment:
        """The deployment policy with the ladder that counts."""
        return self.deployment.model_copy(update={"ladder": self.ladder})

    def chosen(self, registry: FeatureRegistry) -> list[tuple[FeatureSet, tuple[Feature, ...]]]:
        """The sets and their features in the registry's order, whatever the order in which they were named."""
        wanted = set(self.features)
        return [
            (each, found)
            for each in registry.sets
            if (found := tuple(f for f in each.features if each.name in wanted or f.name in wanted))
        ]

    @property
    def configuration(self) -> dict[str, Any]:
        """Everything that was configured, as JSON: one value for one meaning, whatever the order it was written in."""
        value = self.model_dump(mode="json")
        value["features"] = sorted(set(self.features))
        value["model"]["hyperparameters"] = self.parameters
        simpler = self.model.fallback
        if simpler is None:
            # A strategy without one keeps its id.
            del value["model"]["fallback"]
        else:
            chosen = spec_named(simpler.kind).parameters(simpler.preset, simpler.hyperparameters)
            value["model"]["fallback"]["hyperparameters"] = chosen
        value["deployment"]["ladder"] = list(self.ladder)
        if self.universe.symbols is not None:
            value["universe"]["symbols"] = sorted(self.universe.symbols)
        return value

    @property
    def digest(self) -> str:
        """The configuration's name."""
        return digest_json(self.configuration)


def _sessions(model: Fallback) -> int | None:
    """How many sessions a prediction sees; None where the model has mistakes, which are told elsewhere."""
    kind = kind_named(model.kind)
    if kind is None or kind.mistakes(model.hyperparameters):
        return None
    return kind.sessions(kind.parameters(model.preset, model.hyperparameters))


def _months_before(session: Session, months: int) -> Session:
    """The same day so many months earlier, or the last one that month has."""
    count = session.year * _MONTHS + session.month - 1 - months
    year, month = divmod(count, _MONTHS)
    return session.replace(year=year, month=month + 1, day=min(session.day, monthrange(year, month + 1)[1]))
