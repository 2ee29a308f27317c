"""The numbers of a decay: the environment's where it has one, else the strategy's own, else those of the project."""

from typing import Any, Self

from quant_pipelines.documents import Entry
from quant_pipelines.settings import Settings
from quant_pipelines.strategies import Retrain

_FIELDS = ("decay_sessions", "decay_factor", "decay_least_values", "decay_cooldown_sessions")


class Thresholds(Entry, frozen=True):
    """The numbers that counted in one evaluation, as they are put on record (S1-42)."""

    decay_sessions: int
    decay_factor: float
    decay_least_values: int
    decay_cooldown_sessions: int
    weekly_months: int

    @classmethod
    def of(cls, retrain: Retrain) -> Self:
        return cls(**{name: getattr(retrain, name) for name in cls.model_fields})


def effective(retrain: Retrain, settings: Settings) -> Retrain:
    """The policy with the environment's numbers over it, for every strategy alike."""
    given: dict[str, Any] = {name: getattr(settings, f"trigger_{name}") for name in _FIELDS}
    return Retrain(**{**retrain.model_dump(), **{name: each for name, each in given.items() if each is not None}})
